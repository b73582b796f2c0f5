"""Workflows of other programs: readers of ComfyUI, WfFormat, n8n and CWL, and writers of all but n8n.

Reached through the hook `symphony_workflow_formats`; each format is a module, imported when it is used.
"""
