"""What the integration suites stand on: the real programs and servers, started and broken.

Nothing here knows pytest, so that `./dev demo` and the benchmarks use it too; the fixtures are in ../conftest.py.
"""

import sys
from pathlib import Path

TOP = Path(__file__).resolve().parents[3]

sys.path.insert(0, str(TOP / "tools"))
