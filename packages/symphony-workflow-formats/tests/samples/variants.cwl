cwlVersion: v1.2
class: Workflow
label: Call variants
doc: |
  Align reads of several samples, and call variants of those that are good enough.
requirements:
  ScatterFeatureRequirement: {}
  InlineJavascriptRequirement: {}
  MultipleInputFeatureRequirement: {}
inputs:
  reads: File[]
  reference:
    type: File
    doc: The genome
    secondaryFiles: [.fai]
    default: {class: File, location: genome.fa}
  min-quality:
    type: int?
    default: 30
  mode:
    type:
      type: enum
      symbols: [fast, exact]
    default: fast
  deep: boolean
outputs:
  variants:
    type: File
    outputSource: [call_deep/vcf, call_quick/vcf]
    pickValue: first_non_null
  report:
    type: File
    outputSource: summarise/html
  reads_again:
    type: File[]
    outputSource: reads
steps:
  align:
    label: Align one sample
    run: tools/bwa-mem.cwl
    scatter: read
    in:
      read: reads
      reference: reference
      threads: {default: 4}
    out: [bam]
    requirements:
      ResourceRequirement: {coresMin: 4, ramMin: 2048}
  merge:
    run:
      class: CommandLineTool
      baseCommand: [samtools, merge]
      inputs:
        bams: {type: "File[]", inputBinding: {position: 1}}
      outputs:
        bam: {type: File, outputBinding: {glob: merged.bam}}
    in: {bams: align/bam}
    out: [bam]
    hints:
      DockerRequirement: {dockerPull: "biocontainers/samtools:1.20"}
  call_deep:
    run: tools/deep.cwl
    when: $(inputs.deep && inputs.quality >= 20)
    in:
      deep: deep
      quality: min-quality
      bam: merge/bam
    out: [vcf]
  call_quick:
    run: tools/quick.cwl
    when: $(!inputs.deep)
    in:
      deep: deep
      bam: merge/bam
      mode: mode
    out: [vcf]
  count:
    run: tools/count.cwl
    when: ${ return inputs.n.length > 2; }
    in:
      n: reads
    out: [number]
  summarise:
    run: tools/report.cwl
    in:
      files:
        source: [call_deep/vcf, call_quick/vcf]
        pickValue: all_non_null
      number: count/number
      title:
        valueFrom: $("Variants of " + inputs.files.length)
    out:
      - id: html
      - log
