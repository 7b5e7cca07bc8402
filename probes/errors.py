"""The one error type a person is meant to read."""

from __future__ import annotations


class WorkbenchError(Exception):
    """A failure with its remedy: what failed, why, and what to do about it.

    Every error caused by input, files or the machine is raised as this type, so the browser can
    show it, the command line can print it and exit non-zero, and a run can record it.
    """

    def __init__(self, code: str, what: str, why: str, how: str) -> None:
        super().__init__(f"{what}: {why}. {how}")
        self.code = code
        self.what = what
        self.why = why
        self.how = how

    def as_json(self) -> dict[str, str]:
        return {"code": self.code, "what": self.what, "why": self.why, "how": self.how}

    def __reduce__(self) -> tuple[type[WorkbenchError], tuple[str, str, str, str]]:
        return type(self), (self.code, self.what, self.why, self.how)


class Stopped(Exception):
    """Raised inside a job that was asked to stop, where returning early would be clumsy."""


def first_line(error: BaseException) -> str:
    """What another library's error says, short enough to be the reason in one of ours."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:300]
