#!/usr/bin/env python3
# -*- coding: utf-8 -*-
"""The docstring — of a script."""

from __future__ import annotations

print(__doc__)
