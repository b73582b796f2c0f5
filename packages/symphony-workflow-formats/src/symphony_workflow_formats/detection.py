"""Tells from bytes of which format a file is, without parsing them."""

import re

_API_NODE = re.compile(rb'"class_type"\s*:\s*"')
_CWL_VERSION = re.compile(rb"""^\s*["']?cwlVersion["']?\s*:|[{,]\s*"cwlVersion"\s*:""", re.MULTILINE)
_WFFORMAT_VERSION = re.compile(rb'"schemaVersion"\s*:\s*"1\.\d"')
_N8N_TYPE = re.compile(rb'"type"\s*:\s*"(@n8n/)?n8n-nodes-')


def comfyui(data: bytes) -> float:
    """How sure it is that this is a graph of ComfyUI's editor.

    Args:
        data: A file.
    """
    if not (b'"nodes"' in data and b'"links"' in data):
        return 0.0
    if b'"last_node_id"' in data or b'"lastNodeId"' in data:
        return 0.9
    return 0.5 if b'"widgets_values"' in data else 0.0


def comfyui_api(data: bytes) -> float:
    """How sure it is that this is a prompt for ComfyUI's server.

    Args:
        data: A file.
    """
    return 0.8 if _API_NODE.search(data) and b'"inputs"' in data else 0.0


def wfformat(data: bytes) -> float:
    """How sure it is that this is WfFormat.

    Args:
        data: A file.
    """
    return 0.95 if _WFFORMAT_VERSION.search(data) and b'"workflow"' in data and b'"tasks"' in data else 0.0


def n8n(data: bytes) -> float:
    """How sure it is that this is a workflow of n8n.

    Args:
        data: A file.
    """
    if not (b'"nodes"' in data and b'"connections"' in data):
        return 0.0
    return 0.95 if _N8N_TYPE.search(data) else 0.6


def cwl(data: bytes) -> float:
    """How sure it is that this is CWL.

    Args:
        data: A file.
    """
    return 0.9 if _CWL_VERSION.search(data) else 0.0
