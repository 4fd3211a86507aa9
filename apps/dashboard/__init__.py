"""The dashboard: a page for each pipeline and one for operations. README.md says how a page is built."""
