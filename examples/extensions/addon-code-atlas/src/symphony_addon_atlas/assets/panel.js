// The user interface sends {type: "artifact", mediaType, text}; the page is shown in a frame without any right.
addEventListener("message", ({ data, source }) => {
  if (source !== parent || data?.type !== "artifact" || data.mediaType !== "text/html") return;
  const report = document.getElementById("report");
  report.srcdoc = data.text;
  report.hidden = false;
  document.getElementById("empty").hidden = true;
});
