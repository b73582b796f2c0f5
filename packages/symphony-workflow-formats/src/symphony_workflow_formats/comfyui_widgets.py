"""Names the values that ComfyUI's editor saves by position, which only a node's own code would name."""

from collections.abc import Mapping
from typing import Any

WIDGETS: Mapping[str, tuple[str, ...]] = {
    "CLIPLoader": ("clip_name", "type", "device"),
    "CLIPSetLastLayer": ("stop_at_clip_layer",),
    "CLIPTextEncode": ("text",),
    "CheckpointLoaderSimple": ("ckpt_name",),
    "ControlNetApply": ("strength",),
    "ControlNetLoader": ("control_net_name",),
    "DualCLIPLoader": ("clip_name1", "clip_name2", "type", "device"),
    "EmptyLatentImage": ("width", "height", "batch_size"),
    "ImageScale": ("upscale_method", "width", "height", "crop"),
    "KSampler": ("seed", "steps", "cfg", "sampler_name", "scheduler", "denoise"),
    "KSamplerAdvanced": (
        "add_noise",
        "noise_seed",
        "steps",
        "cfg",
        "sampler_name",
        "scheduler",
        "start_at_step",
        "end_at_step",
        "return_with_leftover_noise",
    ),
    "LatentUpscale": ("upscale_method", "width", "height", "crop"),
    "LoadImage": ("image", "upload"),
    "LoraLoader": ("lora_name", "strength_model", "strength_clip"),
    "LoraLoaderModelOnly": ("lora_name", "strength_model"),
    "SaveImage": ("filename_prefix",),
    "UNETLoader": ("unet_name", "weight_dtype"),
    "UpscaleModelLoader": ("model_name",),
    "VAELoader": ("vae_name",),
}
"""The widgets of the nodes that come with ComfyUI and are used most, in the order in which they are saved."""

_SEEDS = ("seed", "noise_seed")
_AFTER = ("fixed", "increment", "decrement", "randomize")
"""What follows a seed: what the editor does to it after each run."""
_ONLY_EDITOR = ("upload",)


def named_values(type_name: str, slots: list[str], values: Any) -> dict[str, Any] | None:
    """The values of a node's widgets by name; None where they cannot be named.

    Args:
        type_name: The type of the node.
        slots: The names of the widgets that the node lists among its inputs, in order.
        values: What the editor saved: a list by position, or an object by name.
    """
    if isinstance(values, dict):
        return {name: value for name, value in values.items() if name not in _ONLY_EDITOR}
    if not isinstance(values, list):
        return {}
    for names in (slots, WIDGETS.get(type_name, ())):
        found = _named(names, values)
        if found is not None:
            return found
    return None


def _named(names: "list[str] | tuple[str, ...]", values: list[Any]) -> dict[str, Any] | None:
    found: dict[str, Any] = {}
    place = 0
    for name in names:
        if place == len(values):
            return None if name not in _ONLY_EDITOR else found
        if name not in _ONLY_EDITOR:
            found[name] = values[place]
        place += 1
        if name in _SEEDS and place < len(values) and values[place] in _AFTER:
            place += 1
    return found if place == len(values) else None
