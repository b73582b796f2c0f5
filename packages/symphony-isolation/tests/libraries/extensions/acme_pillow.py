"""Pictures with Pillow: drawn, scaled, coded and decoded in each format."""

import hashlib
from pathlib import Path

from PIL import Image, ImageDraw, ImageFilter, ImageFont
from symphony_sdk import Context, operator, provides_operators


@operator("acme.pillow.work")
def work(ctx: Context) -> dict[str, str]:
    """Draw a picture with text in it; keep it in several formats and sizes, and tell what came back."""
    picture = Image.linear_gradient("L").resize((640, 480)).convert("RGB")
    draw = ImageDraw.Draw(picture)
    draw.ellipse((40, 40, 300, 300), fill=(200, 30, 60), outline="white", width=5)
    draw.text((60, 380), "Symphony", font=ImageFont.load_default(48), fill="yellow")
    picture = picture.filter(ImageFilter.GaussianBlur(2))
    found = {}
    for format in ("PNG", "JPEG", "WEBP", "TIFF"):
        path = Path(f"picture.{format.lower()}")
        picture.save(path, format)
        with Image.open(path) as back:
            small = back.convert("RGB").resize((160, 120), Image.Resampling.LANCZOS)
        found[format] = f"{back.format} {back.size} {hashlib.sha256(small.tobytes()).hexdigest()}"
    return found


@provides_operators
def symphony_operators():
    yield work
