"""The workbench people open: server, pages, components, jobs and the command line."""

import os

# Gradio and the Hugging Face libraries read these while they are imported, so they are set before either is.
os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")
# Libraries would draw their own bars over the progress line.
os.environ.setdefault("TQDM_DISABLE", "1")
# Threads that wait actively slow everything down on a machine that is doing anything else.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")
if os.environ.get("FULCRUM_OFFLINE", "1").lower() not in {"0", "false", "no", "off"}:
    os.environ["HF_HUB_OFFLINE"] = os.environ["TRANSFORMERS_OFFLINE"] = "1"
