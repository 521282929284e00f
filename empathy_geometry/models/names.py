"""What the command line and the loaders call models by; imports nothing, so that help is quick."""

EMBEDDED_NAME = "smollm2-135m-instruct"
"""The model that comes with the extra "demo"."""

MODELS_FOLDER = "EMPATHY_GEOMETRY_MODELS"
"""Environment variable: a folder whose subfolders are models in Hugging Face format."""
