"""Runs the notebooks beside it, and fails if a cell does, or a plot is empty.

    run.py                    all of them
    run.py 02-beacons.ipynb   these
    run.py --pictures DIR     and leave the plots in DIR
    run.py --outputs          only check that none is stored with outputs; needs nothing but Python

Nothing is written to the notebooks. Their data has to be there: make notebooks makes it.
"""

import argparse
import base64
import io
import json
import pathlib
import sys
import time

HERE = pathlib.Path(__file__).resolve().parent


def stored_outputs(path: pathlib.Path) -> list[str]:
    """What should not be in a stored notebook."""
    faults = []
    for cell in json.loads(path.read_text())["cells"]:
        if cell["cell_type"] == "code" and (cell["outputs"] or cell["execution_count"] is not None):
            faults.append(f"{path.name}: cell {cell['id']} is stored with outputs")
    return faults


def ink(png: bytes) -> float:
    """Share of a picture that has a colour. Axes, ticks and text are black and
    grey, so a plot without data has none."""
    import numpy as np
    from PIL import Image

    rgb = np.asarray(Image.open(io.BytesIO(png)).convert("RGB")).astype(int)
    return float(((rgb.max(axis=2) - rgb.min(axis=2)) > 24).mean())


LEAST = 0.0003  # a few dots


def plots(cell) -> list[bytes]:
    """The pictures among a cell's outputs."""
    data = [output["data"] for output in cell.get("outputs", []) if "data" in output]
    return [base64.b64decode(d["image/png"]) for d in data if "image/png" in d]


def run(path: pathlib.Path, pictures: pathlib.Path | None) -> list[str]:
    import nbformat
    from nbclient import NotebookClient
    from nbclient.exceptions import CellExecutionError, CellTimeoutError

    notebook = nbformat.read(path, as_version=4)
    client = NotebookClient(notebook, timeout=300, kernel_name="python3", resources={"metadata": {"path": str(HERE)}}, extra_arguments=["--log-level=ERROR"])
    begin = time.monotonic()
    try:
        client.execute()
    except (CellExecutionError, CellTimeoutError) as error:
        return [f"{path.name}: {error}"]
    faults, count = [], 0
    for cell in notebook.cells:
        if ("plt.show()" in cell.source or "alt.Chart(" in cell.source) and not plots(cell):
            faults.append(f"{path.name}: cell {cell['id']} draws nothing")
        for i, png in enumerate(plots(cell)):
            count += 1
            if pictures:
                (pictures / f"{path.stem}-{cell['id']}-{i}.png").write_bytes(png)
            if (share := ink(png)) < LEAST:
                faults.append(f"{path.name}: the plot of cell {cell['id']} is empty ({share:.2%} of it has a colour)")
    if count == 0:
        faults.append(f"{path.name}: there is no plot")
    print(f"{path.name}: {len(notebook.cells)} cells, {count} plots, {time.monotonic() - begin:.1f} s", flush=True)
    return faults


def self_test() -> None:
    """The check for empty plots can tell."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    for points, empty in ([], True), ([(1, 1), (2, 2), (3, 1)], False):
        fig, ax = plt.subplots()
        ax.scatter([p[0] for p in points], [p[1] for p in points], color="tab:blue")
        ax.set(title="Title", xlabel="x", ylabel="y")
        buffer = io.BytesIO()
        fig.savefig(buffer)
        plt.close(fig)
        assert (ink(buffer.getvalue()) < LEAST) == empty, (points, ink(buffer.getvalue()))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("notebooks", nargs="*", type=pathlib.Path)
    parser.add_argument("--pictures", type=pathlib.Path)
    parser.add_argument("--outputs", action="store_true")
    args = parser.parse_args()
    paths = args.notebooks or sorted(HERE.glob("*.ipynb"))
    faults = [fault for path in paths for fault in stored_outputs(path)]
    if not args.outputs:
        self_test()
        if args.pictures:
            args.pictures.mkdir(parents=True, exist_ok=True)
        for path in paths:
            faults += run(path, args.pictures)
    for fault in faults:
        print(fault, file=sys.stderr)
    print(f"{len(paths) - len({f.split(':')[0] for f in faults})} passed, {len({f.split(':')[0] for f in faults})} failed")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
