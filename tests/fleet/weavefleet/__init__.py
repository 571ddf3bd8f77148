# SPDX-License-Identifier: Apache-2.0
"""A fleet of Sync clients and a pause of their server, simulated.

`clients` says who they are, `server` what they are told, `simulation` lets
time pass, `figures` makes numbers of it and `plot` pictures. Only Python's
own library is used. docs/fleet.md has what came out.
"""
