"""TFLite: one flatbuffer of builtin operators, for LiteRT."""
