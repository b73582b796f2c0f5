{
  "cwlVersion": "v1.2",
  "$graph": [
    {"class": "CommandLineTool", "id": "#upper", "baseCommand": "tr",
     "inputs": [{"id": "#upper/text", "type": "string"}], "outputs": [{"id": "#upper/out", "type": "stdout"}]},
    {"class": "Workflow", "id": "#tidy", "label": "Tidy one text",
     "inputs": [{"id": "#tidy/text", "type": "string"}, {"id": "#tidy/language", "type": ["null", "string"]}],
     "outputs": [{"id": "#tidy/done", "type": "Any", "outputSource": "#tidy/shout/out"}],
     "steps": [{"id": "#tidy/shout", "run": "#upper", "in": [{"id": "#tidy/shout/text", "source": "#tidy/text"}],
                "out": ["#tidy/shout/out"]}]},
    {"class": "Workflow", "id": "#main",
     "requirements": [{"class": "SubworkflowFeatureRequirement"}, {"class": "ScatterFeatureRequirement"}],
     "inputs": [{"id": "#main/texts", "type": {"type": "array", "items": "string"}},
                {"id": "#main/one", "type": "string", "default": "hello"}],
     "outputs": [{"id": "#main/all", "type": {"type": "array", "items": "Any"}, "outputSource": "#main/each/done"},
                 {"id": "#main/first", "type": "Any", "outputSource": "#main/alone/done"}],
     "steps": [
       {"id": "#main/each", "run": "#tidy", "scatter": "#main/each/text",
        "in": [{"id": "#main/each/text", "source": "#main/texts"}, {"id": "#main/each/language", "default": "en"}],
        "out": ["#main/each/done"]},
       {"id": "#main/alone", "run": "#tidy", "in": [{"id": "#main/alone/text", "source": "#main/one"}],
        "out": [{"id": "#main/alone/done"}]}
     ]}
  ]
}
