"""Does a written file give the model's numbers, in its own runtime?"""
