"""Pictures made anew from pixels: nothing of the given file but its colours goes into them."""

from __future__ import annotations

from pathlib import Path

from PIL import Image, ImageOps, UnidentifiedImageError

from .limited import Box
from .text import Unreadable

#: Pixels of the longer side: for people, and for agents, which scale anything larger down themselves.
THUMBNAIL = 512
SHOWN = 1568
FORMATS = ("PNG", "JPEG", "GIF", "WEBP")


def previews(source: Path, thumbnail: Path, shown: Path, box: Box) -> str:
    """Write a thumbnail (WebP) and a picture for agents (PNG or JPEG); returns the latter's media type.

    Raises Unreadable (file_unreadable, image_too_large).
    """
    Image.MAX_IMAGE_PIXELS = None  # the limit is ours, looked at before a pixel is read
    try:
        with Image.open(source, formats=FORMATS) as image:
            if image.width * image.height > box.pixels:
                raise Unreadable("image_too_large")
            image.draft("RGB", (SHOWN, SHOWN))
            turned = ImageOps.exif_transpose(image)
            clear = turned.mode in ("RGBA", "LA", "PA") or "transparency" in turned.info
            picture = turned.convert("RGBA" if clear else "RGB")
    except (UnidentifiedImageError, OSError, ValueError, SyntaxError, EOFError):
        raise Unreadable from None
    picture.info.clear()
    picture.thumbnail((SHOWN, SHOWN))
    if clear:
        picture.save(shown, "PNG")
    else:
        picture.save(shown, "JPEG", quality=85)
    picture.thumbnail((THUMBNAIL, THUMBNAIL))
    picture.save(thumbnail, "WEBP", quality=80)
    return "image/png" if clear else "image/jpeg"
