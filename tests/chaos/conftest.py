import os
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
TOP = os.path.dirname(os.path.dirname(HERE))
sys.path[:0] = [HERE, os.path.join(TOP, "deploy", "demo")]
os.environ.setdefault("ASAN_OPTIONS", "detect_leaks=1:abort_on_error=0")
os.environ.setdefault("UBSAN_OPTIONS", "print_stacktrace=1")


def pytest_terminal_summary(terminalreporter):
    """Leaves pytest's own last line where `make test` finds it."""
    parts, _ = terminalreporter.build_summary_stats_line()
    folder = os.path.join(TOP, os.environ.get("CERTFLEET_BUILD", "build/release"))
    if os.path.isdir(folder):
        with open(os.path.join(folder, "chaos.txt"), "w", encoding="utf-8") as f:
            f.write("chaos: " + ", ".join(text for text, _ in parts) + "\n")
