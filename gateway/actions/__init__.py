"""Segment's action destinations, run unmodified behind the gateway's promises.

Each is JavaScript of the npm package ``@segment/action-destinations`` (MIT), which
``gateway actions install`` fetches. It runs in a Node process without a network of its
own: the package decides what to say, and the gateway's own sender says it.

    install       fetches the packages that gateway/actions/package-lock.json pins
    definitions   what each destination is, written down at the install by describe.js
    node          where Node.js is
    sidecar.js    one Node process of one destination; frames.py speaks with it
"""
