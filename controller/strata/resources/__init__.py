"""The kinds as frozen typed data, their codec, digest and schema. Everything may import this; this imports nothing."""
