"""Packs a commit's program into a wheel, so that later ones can be tried beside it: `python -m tests.migration.freeze`.

Run it when a release is made. What only a person or a test needs is left out.
"""

import argparse
import io
import subprocess
import tarfile
import zipfile
from pathlib import Path

HERE = Path(__file__).parent
_LEFT_OUT = (
    "bellhouse/demo/",
    "bellhouse/engines/",
    "bellhouse/simulator/",
    "bellhouse/testing/",
    "bellhouse/web/docs/swagger",
)
_METADATA = "Metadata-Version: 2.1\nName: bellhouse\nVersion: {version}\n"
_EPOCH = (2026, 1, 1, 0, 0, 0)


def freeze(commit: str, version: str) -> Path:
    """Write the wheel and return its path."""
    archive = subprocess.run(["git", "archive", commit, "src/bellhouse"], check=True, capture_output=True).stdout
    wheel = HERE / f"bellhouse-{version}-py3-none-any.whl"
    with tarfile.open(fileobj=io.BytesIO(archive)) as files, zipfile.ZipFile(wheel, "w", zipfile.ZIP_LZMA) as packed:
        for member in files.getmembers():
            name = member.name.removeprefix("src/")
            content = files.extractfile(member)
            if content is not None and not name.startswith(_LEFT_OUT):
                packed.writestr(zipfile.ZipInfo(name, _EPOCH), content.read(), zipfile.ZIP_DEFLATED, 9)
        info = f"bellhouse-{version}.dist-info"
        packed.writestr(zipfile.ZipInfo(f"{info}/METADATA", _EPOCH), _METADATA.format(version=version))
    return wheel


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("commit")
    parser.add_argument("version")
    given = parser.parse_args()
    print(freeze(given.commit, given.version))
