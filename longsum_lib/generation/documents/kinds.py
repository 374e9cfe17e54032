"""What kind of file this is: by what it begins with, and only then by its name."""

from __future__ import annotations

import io
import re
import zipfile
from pathlib import PurePath

from longsum_lib.errors import DocumentError

KINDS = ("pdf", "docx", "epub", "html", "markdown", "srt", "vtt", "text")
"""The kinds of files that can be read; the same words stand in ``DocumentText.format``."""

_SUFFIXES = {
    **dict.fromkeys((".md", ".markdown", ".mdown", ".mkd"), "markdown"),
    **dict.fromkeys((".html", ".htm", ".xhtml", ".xht"), "html"),
    ".srt": "srt",
    ".vtt": "vtt",
}
_PACKED = {".pdf": "a PDF", ".docx": "a Word document", ".epub": "an EPUB book"}

_TEXT_FIRST = "save it as text, PDF or DOCX first"
_ONLY_TEXT = "only text can be summarized"
# What a file starts with -> what it is, and what to do.
_REFUSED = {
    b"\xd0\xcf\x11\xe0": (
        "an old Office document, or has a password",
        "save it as .docx without one first",
    ),
    b"{\\rtf": ("a rich-text document (RTF)", _TEXT_FIRST),
    b"%!PS": ("PostScript", "convert it to PDF first, for example with ps2pdf"),
    b"AT&TFORM": ("a DjVu document", "convert it to PDF first, for example with ddjvu"),
    b"\x1f\x8b": ("compressed with gzip", "unpack it first, for example with: gzip -dc FILE | longsum summarize -"),
    b"BZh": ("compressed with bzip2", "unpack it first, for example with: bzip2 -dc FILE | longsum summarize -"),
    b"\xfd7zXZ\x00": ("compressed with xz", "unpack it first, for example with: xz -dc FILE | longsum summarize -"),
    b"\x28\xb5\x2f\xfd": (
        "compressed with zstd",
        "unpack it first, for example with: zstd -d FILE",
    ),
    b"7z\xbc\xaf\x27\x1c": ("a 7z archive", "unpack it first"),
    b"Rar!\x1a\x07": ("a RAR archive", "unpack it first"),
    b"\x89PNG": ("a PNG image", _ONLY_TEXT),
    b"\xff\xd8\xff": ("a JPEG image", _ONLY_TEXT),
    b"GIF8": ("a GIF image", _ONLY_TEXT),
    b"II*\x00": ("a TIFF image", _ONLY_TEXT),
    b"MM\x00*": ("a TIFF image", _ONLY_TEXT),
    b"RIFF": ("a sound, a film or an image (RIFF)", _ONLY_TEXT),
    b"ID3": ("a sound (MP3)", _ONLY_TEXT),
    b"\xff\xfb": ("a sound (MP3)", _ONLY_TEXT),
    b"OggS": ("a sound or a film (Ogg)", _ONLY_TEXT),
    b"fLaC": ("a sound (FLAC)", _ONLY_TEXT),
    b"\x1aE\xdf\xa3": ("a film (Matroska)", _ONLY_TEXT),
    b"\x7fELF": ("a program", _ONLY_TEXT),
    b"MZ": ("a program", _ONLY_TEXT),
    b"\xca\xfe\xba\xbe": ("a program", _ONLY_TEXT),
    b"\xcf\xfa\xed\xfe": ("a program", _ONLY_TEXT),
    b"\x00asm": ("a program", _ONLY_TEXT),
    b"LZIP": ("compressed with lzip", "unpack it first"),
    b"\x04\x22\x4d\x18": ("compressed with lz4", "unpack it first"),
    b"\x1f\x9d": ("compressed with compress", "unpack it first"),
    b"MSCF": ("a cabinet archive", "unpack it first"),
    b"!<arch>\n": ("an archive", "unpack it first"),
    b"\xff\x0a": ("a JPEG XL image", _ONLY_TEXT),
    b"\x00\x00\x00\x0cjP  ": ("a JPEG 2000 image", _ONLY_TEXT),
    b"8BPS": ("a Photoshop image", _ONLY_TEXT),
    b"gimp xcf": ("a GIMP image", _ONLY_TEXT),
    b"\x00\x00\x01\x00": ("an icon", _ONLY_TEXT),
    b"FORM\x00": ("a sound (AIFF)", _ONLY_TEXT),
    b"MThd\x00\x00\x00\x06": ("a sound (MIDI)", _ONLY_TEXT),
    b"#!AMR": ("a sound (AMR)", _ONLY_TEXT),
    **dict.fromkeys((b"\xff\xf3", b"\xff\xf2", b"\xff\xfa"), ("a sound (MP3)", _ONLY_TEXT)),
    **dict.fromkeys((b"\xff\xf1", b"\xff\xf9"), ("a sound (AAC)", _ONLY_TEXT)),
    b"FLV\x01": ("a film (Flash)", _ONLY_TEXT),
    b"0&\xb2u\x8ef\xcf\x11": ("a sound or a film (Windows Media)", _ONLY_TEXT),
    b"\x00\x00\x01\xba": ("a film (MPEG)", _ONLY_TEXT),
    b"\x00\x00\x01\xb3": ("a film (MPEG)", _ONLY_TEXT),
    b"\x93NUMPY": ("an array of numbers (NumPy)", _ONLY_TEXT),
    b"\x89HDF\r\n": ("a data file (HDF5)", _ONLY_TEXT),
    b"PAR1": ("a table (Parquet)", "its rows are for longsum evaluate and longsum train"),
    b"bplist00": ("a property list", _ONLY_TEXT),
    **dict.fromkeys((b"wOFF", b"wOF2", b"OTTO\x00", b"\x00\x01\x00\x00\x00"), ("a font", _ONLY_TEXT)),
    b"SQLite format 3\x00": ("a database (SQLite)", _ONLY_TEXT),
}
_OFFICE = {
    "xl/": ("an Excel table", "save its text as .csv or .txt first"),
    "ppt/": ("a PowerPoint presentation", "save it as PDF first"),
}
_OPEN_DOCUMENT = "application/vnd.oasis.opendocument"
_PDF = re.compile(rb"%PDF-[12]\.\d")
_HTML = re.compile(
    rb"\A(?:\xef\xbb\xbf)?\s*(?:<\?xml[^>]*>\s*)?(?:<!--(?:(?!-->).){0,2000}-->\s*)*<(?:!doctype\s+html|html|head|body)\b",
    re.IGNORECASE | re.DOTALL,
)
_VTT = re.compile(rb"\A(?:\xef\xbb\xbf)?WEBVTT(?:[ \t\r\n]|\Z)")
_SRT = re.compile(
    rb"\A(?:\xef\xbb\xbf)?\s*(?:\d+\s*\r?\n)?\s*\d{1,3}:\d{1,2}:\d{1,2}[,.]\d{1,3}\s*-->\s*\d{1,3}:\d{1,2}:\d{1,2}[,.]\d{1,3}"
)


def find_kind(data: bytes, name: str) -> str:
    r"""Tell what kind of document a file is.

    Args:
        data: The file's bytes.
        name: Its name; the suffix decides where the content does not.

    Returns:
        One of ``KINDS``.

    Raises:
        DocumentError: It is something that cannot be read; the message says what it is and what to do.

    Example:
        >>> find_kind(b"WEBVTT\n\n00:01.000 --> 00:02.000\nHello", "talk.txt")
        'vtt'
        >>> find_kind(b"# Title", "notes.md"), find_kind(b"# Title", "notes.txt")
        ('markdown', 'text')
    """
    if _PDF.search(data, 0, 1024) and (data.startswith(b"%PDF-") or b"endobj" in data):
        return "pdf"
    if data.startswith((b"PK\x03\x04", b"PK\x05\x06")):
        return _kind_of_archive(data, name)
    for signature, (kind, advice) in _REFUSED.items():
        if data.startswith(signature) and (signature in _WRITTEN or not _is_written(signature, data)):
            raise DocumentError(f"{name} is {kind}, not plain text; {advice}")
    if data[4:8] == b"ftyp":
        raise DocumentError(f"{name} is a film, a sound or an image (MP4), not plain text; {_ONLY_TEXT}")
    if data[257:262] == b"ustar":
        raise DocumentError(f"{name} is a tar archive, not plain text; unpack it, and give the files")
    if data[60:68] == b"BOOKMOBI":
        raise DocumentError(f"{name} is a Kindle book, not plain text; convert it to EPUB first")
    for pattern, kind in ((_VTT, "vtt"), (_SRT, "srt"), (_HTML, "html")):
        if pattern.match(data):
            return kind
    suffix = PurePath(name).suffix.lower()
    if suffix in _PACKED:
        raise DocumentError(f"{name} is named like {_PACKED[suffix]} and is none; perhaps it was not saved completely")
    return _SUFFIXES.get(suffix, "text")


# Formats that are text themselves.
_WRITTEN = (b"{\\rtf", b"%!PS")


def _is_written(signature: bytes, data: bytes) -> bool:
    """Whether a signature of letters begins a text: "ID3 tags are …", "RIFF stands for …"."""
    start = data[:1024]
    if not signature.isascii() or not signature.decode().isprintable() or b"\0" in start:
        return False
    try:
        start.decode()
    except UnicodeDecodeError as error:
        return len(data) > len(start) and error.start > len(start) - 4  # the start may end inside a character
    return True


def _kind_of_archive(data: bytes, name: str) -> str:
    """DOCX and EPUB are ZIP archives, and so are their neighbours."""
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            names = archive.namelist()
            entry = archive.getinfo("mimetype") if "mimetype" in names else None
            mimetype = archive.read(entry).decode("ascii", "replace").strip() if entry and entry.file_size < 200 else ""
    except (zipfile.BadZipFile, ValueError, NotImplementedError, RuntimeError, OSError, EOFError):
        raise DocumentError(f"{name} is damaged: its ZIP archive cannot be opened") from None
    if mimetype == "application/epub+zip" or ("META-INF/container.xml" in names and not mimetype):
        return "epub"
    if "word/document.xml" in names or PurePath(name).suffix.lower() == ".docx":
        return "docx"
    if mimetype.startswith(_OPEN_DOCUMENT):
        raise DocumentError(f"{name} is an OpenDocument file; save it as .docx or PDF first")
    for folder, (kind, advice) in _OFFICE.items():
        if any(entry.startswith(folder) for entry in names):
            raise DocumentError(f"{name} is {kind}; {advice}")
    raise DocumentError(f"{name} is a ZIP archive of {len(names):,} files; unpack it, and give the files")
