"""From a folder of results to Markdown, one self-contained HTML page, and PDF."""
