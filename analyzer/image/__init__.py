"""Reading of picture files, one module for each type, and conversion of their colours to sRGB."""
