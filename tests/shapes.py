"""The type checker of the shape annotations: beartype, with an int accepted for a float as in PEP 484."""

from beartype import BeartypeConf, beartype

check = beartype(conf=BeartypeConf(is_pep484_tower=True))
