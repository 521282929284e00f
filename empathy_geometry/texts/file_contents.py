"""The text of a file as the world writes it: gzipped or not, with any byte order mark; other kinds called by name."""

import gzip
import io
import zlib
from pathlib import Path

_BOMS = (
    (b"\xef\xbb\xbf", "utf-8-sig"),
    (b"\xff\xfe\x00\x00", "utf-32"),
    (b"\x00\x00\xfe\xff", "utf-32"),
    (b"\xff\xfe", "utf-16"),
    (b"\xfe\xff", "utf-16"),
)
PARQUET = b"PAR1"
_EXPORT = "export it as CSV or JSON Lines"
_UNPACK = "unpack it first, or pack it with gzip"
_KINDS = (
    (PARQUET, "a Parquet file", "try LabeledTexts.from_parquet"),
    (b"PK\x03\x04", "a ZIP archive or Excel workbook", _EXPORT),
    (b"PK\x05\x06", "an empty ZIP archive", _EXPORT),
    (b"\xd0\xcf\x11\xe0", "an Excel 97 workbook", _EXPORT),
    (b"ARROW1", "an Arrow file", "read it with `datasets` or pyarrow and pass it to LabeledTexts.from_dataset"),
    (b"FEA1", "a Feather file", "read it with pandas and pass it to LabeledTexts.from_frame"),
    (b"\x89HDF", "an HDF5 file", _EXPORT),
    (b"\x93NUMPY", "a numpy file", _EXPORT),
    (b"SQLite format 3", "an SQLite database", _EXPORT),
    (b"%PDF", "a PDF file", _EXPORT),
    (b"\x89PNG", "a picture", "give a file of texts"),
    (b"\xff\xd8\xff", "a picture", "give a file of texts"),
    (b"BZh", "packed with bzip2", _UNPACK),
    (b"\xfd7zXZ\x00", "packed with xz", _UNPACK),
    (b"\x28\xb5\x2f\xfd", "packed with zstandard", _UNPACK),
)
_GZIP = b"\x1f\x8b"
_MOST_UNPACKED = 64 * 2**20
_MOST_RATIO = 200
_CHUNK = 2**20


def read_text(path: Path, *, encoding: str = "utf-8") -> str:
    """The file's text without a byte order mark, unpacked if it is gzipped, lines ended by line feeds.

    A byte order mark goes before `encoding`, so that UTF-16 as spreadsheet programs write it is read as it is.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is a folder; a binary file (says of which kind); a damaged gzip file, or one that unpacks to
            more than 64 MiB and 200 times its size; or not in this encoding (names the byte and the line).
    """
    data = read_bytes(path)
    bom = next((name for start, name in _BOMS if data.startswith(start)), None)
    used = bom or encoding
    if bom is None:
        _refuse_binary(data, path, encoding)
    try:
        text = data.decode(used)
    except LookupError as error:
        raise ValueError(f"unknown encoding {encoding!r}; try 'utf-8' or 'cp1252'") from error
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        hint = "it may be cp1252, " if bom is None else ""
        raise ValueError(
            f"{path} is not {used.upper()}: byte {error.start} (line {line}) is 0x{data[error.start]:02x}; "
            f"{hint}save it as UTF-8"
        ) from error
    except UnicodeError as error:
        raise ValueError(f"{path} is not {used.upper()} ({error}); save it as UTF-8") from error
    text = text.removeprefix("\ufeff").replace("\r\n", "\n")
    # A carriage return inside a quoted cell is part of a text, unless it is how this file ends its lines.
    return text if "\n" in text else text.replace("\r", "\n")


def read_bytes(path: Path) -> bytes:
    """What a file holds, unpacked if it is gzipped, whatever its name says.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is a folder, a damaged gzip file, or one that unpacks to more than anyone wrote.
    """
    if path.is_dir():
        raise ValueError(f"{path} is a folder, expected a file")
    data = path.read_bytes()
    if not data.startswith(_GZIP):
        return data
    most = max(_MOST_UNPACKED, _MOST_RATIO * len(data))
    parts, size = [], 0
    try:
        with gzip.GzipFile(fileobj=io.BytesIO(data)) as packed:
            while chunk := packed.read(_CHUNK):
                parts.append(chunk)
                size += len(chunk)
                if size > most:
                    raise ValueError(
                        f"{path} unpacks to more than {_MOST_RATIO} times its {len(data)} bytes, which no texts do; "
                        f"unpack it by hand if you trust it"
                    )
    except (EOFError, OSError, zlib.error) as error:
        raise ValueError(f"{path} is a damaged or incomplete gzip file ({error}); download or pack it again") from error
    return b"".join(parts)


def set_name(path: Path) -> str:
    """What a set of texts is called after its file: the name without the endings.

    Example:
        >>> set_name(Path("folder/pairs.jsonl.gz"))
        'pairs'
    """
    name = path.name.removesuffix(".gz")
    stem = "".join(c if c.isprintable() else "_" for c in Path(name).stem).strip()
    return stem if stem and stem.lower() not in ("nan", "nat") else "texts"


def _refuse_binary(data: bytes, path: Path, encoding: str) -> None:
    for start, kind, advice in _KINDS:
        if data.startswith(start):
            raise ValueError(f"{path} is {kind} and no text; {advice}")
    wide = encoding.lower().replace("_", "-").startswith(("utf-16", "utf-32"))
    at = data.find(b"\x00")
    if at >= 0 and not wide:
        even, odd = data[:4096:2].count(0), data[1:4096:2].count(0)
        if max(even, odd) > 0.4 * min(len(data), 4096) / 2 and min(even, odd) < 0.1 * max(even, odd):
            name = "utf-16-le" if odd > even else "utf-16-be"
            raise ValueError(f"{path} looks like {name} without a byte order mark; save it as UTF-8")
        raise ValueError(f"{path} is a binary file: byte {at} is 0; give a file of texts")
    control = sum(byte < 9 or 13 < byte < 27 or 27 < byte < 32 for byte in data[:4096])
    if control > 0.05 * min(len(data), 4096):
        raise ValueError(f"{path} is a binary file: {control} of its first bytes are control characters")
