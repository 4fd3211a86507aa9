"""Social-media sentiment: what people say, how it changes, which posts decide it and how far a count can be trusted."""
