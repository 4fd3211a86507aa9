"""The applications: thin front ends over the pipelines. Science lives in `pipelines`, mechanics in `shared`."""
