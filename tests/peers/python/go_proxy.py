"""Go modules in a folder, as Go's own tools read them by `GOPROXY=file://…`: the package that Go bindings need, of the version that they
ask for. Its source comes with the crate that generates them, so nothing of it has to be asked for over the network.

    python go_proxy.py FOLDER
"""

import json
import re
import subprocess
import sys
import zipfile
from pathlib import Path

CRATE = "wit-bindgen-go"
MODULE = "go.bytecodealliance.org/pkg"


def crate() -> Path:
    """Where cargo has put the crate's source."""
    workspace = Path(__file__).parents[3]
    command = ["cargo", "metadata", "--format-version", "1", "--locked"]
    metadata = json.loads(subprocess.run(command, cwd=workspace, check=True, stdout=subprocess.PIPE).stdout)
    found = [package for package in metadata["packages"] if package["name"] == CRATE]
    if not found:
        sys.exit(f"the workspace doesn't use `{CRATE}`")
    return Path(found[0]["manifest_path"]).parent


def main() -> None:
    folder = Path(sys.argv[1]) / MODULE / "@v"
    source = crate() / "src"
    version = re.search(r'REMOTE_PKG_VERSION: &str = "(v[\d.]+)"', (source / "lib.rs").read_text())
    if version is None:
        sys.exit(f"`{CRATE}` doesn't say which version of {MODULE} it wants")
    version = version[1]
    folder.mkdir(parents=True)
    (folder / "list").write_text(f"{version}\n")
    (folder / f"{version}.info").write_text(json.dumps({"Version": version}))
    (folder / f"{version}.mod").write_text((source / "pkg" / "go.mod").read_text())
    with zipfile.ZipFile(folder / f"{version}.zip", "w") as archive:
        for path in sorted((source / "pkg").rglob("*")):
            if path.is_file():
                archive.write(path, f"{MODULE}@{version}/{path.relative_to(source / 'pkg').as_posix()}")


if __name__ == "__main__":
    main()
