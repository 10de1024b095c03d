"""The named endpoints: what a program may ask of a running page."""
