"""Thin front ends over the pipelines. Science lives in `pipelines`, mechanics in `shared`."""
