// The user interface sends {type: "artifact", mediaType, text}; a frame without any right shows the picture.
addEventListener("message", ({ data, source }) => {
  if (source !== parent || data?.type !== "artifact" || data.mediaType !== "image/svg+xml") return;
  const picture = document.getElementById("picture");
  picture.srcdoc = data.text;
  picture.hidden = false;
  document.getElementById("empty").hidden = true;
});
