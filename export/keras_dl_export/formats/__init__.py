"""The formats, one folder per format; `registry` lists them."""
