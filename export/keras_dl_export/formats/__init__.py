"""Everything that one format needs, in a folder of its own; `registry` lists the formats."""
