"""An independent verifier of the gateway's audit log, written from the texts and from nothing of the gateway's.

C2SP signed-note, tlog-checkpoint, tlog-tiles and tlog-proof, RFC 6962 section 2.1, RFC 9162 section 2.1, RFC 8785, DSSE 1.0.
Everything raises `Refused` for what does not hold. It is a command, too, for people who trust no tool of the vendor:

    audit_verifier.py VERIFIER-KEY tiles FOLDER [OLDER-CHECKPOINT...]
    audit_verifier.py VERIFIER-KEY dsse FILE
    audit_verifier.py VERIFIER-KEY proof FILE
"""

import base64
import binascii
import hashlib
import json
import pathlib
import sys
from dataclasses import dataclass

import rfc8785
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

FORMAT = "sluice-audit-1"
PAYLOAD_TYPE = "application/vnd.sluice.audit.proof+json"
ED25519 = b"\x01"
WIDTH = 256


class Refused(Exception):
    """What was given does not hold."""


def need(condition, why):
    if not condition:
        raise Refused(why)


def unbase64(text):
    try:
        return base64.b64decode(text, validate=True)
    except binascii.Error as error:
        raise Refused(f"no base 64: {text[:40]!r}: {error}") from None


def sha256(*parts):
    return hashlib.sha256(b"".join(parts)).digest()


# Signed notes


class VerifierKey:
    """`NAME+ID+BASE64(type ‖ key)`, whose id must be the one that follows from the rest."""

    def __init__(self, text):
        self.text = text.strip()
        parts = self.text.split("+", 2)
        need(len(parts) == 3, f"{text!r} is no verifier key")
        self.name, key = parts[0], unbase64(parts[2])
        need(key[:1] == ED25519 and len(key) == 33, "not a key of Ed25519")
        self.id = sha256(self.name.encode(), b"\n", key)[:4]
        need(self.id.hex() == parts[1], "the key's id is not that of the key")
        self.key = Ed25519PublicKey.from_public_bytes(key[1:])

    def check(self, signature, signed):
        try:
            self.key.verify(signature, signed)
        except InvalidSignature:
            raise Refused(f"the signature of {self.name} is not of this text") from None


def open_note(note, keys):
    """The text of a note that one of the keys signed; a bad signature of a known key refuses it."""
    at = note.rfind("\n\n")
    need(at >= 0 and note.endswith("\n"), "no signed note: there is no empty line before the signatures")
    text, lines = note[: at + 1], note[at + 2 : -1].split("\n")
    need(not any(ord(c) < 32 and c != "\n" for c in note), "control characters in a note")
    good = 0
    for line in lines:
        parts = line.split(" ")
        need(len(parts) == 3 and parts[0] == "—", f"no signature line: {line!r}")
        blob = unbase64(parts[2])
        for key in keys:
            if key.name == parts[1] and blob[:4] == key.id:
                key.check(blob[4:], text.encode())
                good += 1
    need(good > 0, "no signature of a key that is known")
    return text


@dataclass
class Checkpoint:
    origin: str
    size: int
    root: bytes

    @classmethod
    def of(cls, note, keys):
        lines = open_note(note, keys).split("\n")
        need(len(lines) >= 4 and lines[-1] == "", "a checkpoint has three lines")
        origin, size, root = lines[0], lines[1], unbase64(lines[2])
        need(origin, "a checkpoint has an origin")
        need(size.isascii() and size.isdigit() and (size == "0" or size[0] != "0"), f"no size: {size!r}")
        need(len(root) == 32, "a root has 32 bytes")
        need(any(key.name == origin for key in keys), f"the log is {origin!r}, the keys are of others")
        return cls(origin, int(size), root)


# The tree


def leaf_hash(entry):
    return sha256(b"\x00", entry)


def node_hash(left, right):
    return sha256(b"\x01", left, right)


def tree_root(leaves):
    """MTH of RFC 6962 over leaves' hashes."""
    if not leaves:
        return sha256()
    level = list(leaves)
    while len(level) > 1:
        odd = level[-1:] if len(level) % 2 else []
        level = [node_hash(*level[i : i + 2]) for i in range(0, len(level) - 1, 2)] + odd
    return level[0]


def check_inclusion(leaf, index, checkpoint, proof):
    """RFC 9162 section 2.1.3.2."""
    need(0 <= index < checkpoint.size, f"leaf {index} is not in a tree of {checkpoint.size}")
    fn, sn, r = index, checkpoint.size - 1, leaf
    for p in proof:
        need(sn != 0, "the proof is too long")
        if fn & 1 or fn == sn:
            r = node_hash(p, r)
            while fn and not fn & 1:
                fn, sn = fn >> 1, sn >> 1
        else:
            r = node_hash(r, p)
        fn, sn = fn >> 1, sn >> 1
    need(sn == 0, "the proof is too short")
    need(r == checkpoint.root, f"leaf {index} is not in the tree of the checkpoint")


def consistency_proof(leaves, old):
    """PROOF(old, leaves) of RFC 6962 section 2.1.2."""

    def subproof(m, d, is_whole):
        if m == len(d):
            return [] if is_whole else [tree_root(d)]
        k = 1 << (len(d) - 1).bit_length() - 1
        if m <= k:
            return subproof(m, d[:k], is_whole) + [tree_root(d[k:])]
        return subproof(m - k, d[k:], False) + [tree_root(d[:k])]

    return subproof(old, leaves, True)


def check_consistency(old, new, proof):
    """RFC 9162 section 2.1.4.2: the newer checkpoint's tree begins with the older one's."""
    need(0 < old.size <= new.size, f"{old.size} is no part of {new.size}")
    if old.size == new.size:
        need(not proof and old.root == new.root, "two trees of one size")
        return
    path = list(proof)
    if old.size & (old.size - 1) == 0:
        path.insert(0, old.root)
    need(path, "the proof is empty")
    fn, sn = old.size - 1, new.size - 1
    while fn & 1:
        fn, sn = fn >> 1, sn >> 1
    fr = sr = path[0]
    for c in path[1:]:
        need(sn != 0, "the proof is too long")
        if fn & 1 or fn == sn:
            fr, sr = node_hash(c, fr), node_hash(c, sr)
            while fn and not fn & 1:
                fn, sn = fn >> 1, sn >> 1
        else:
            sr = node_hash(sr, c)
        fn, sn = fn >> 1, sn >> 1
    need(sn == 0, "the proof is too short")
    need(fr == old.root, "the proof does not lead to the older tree")
    need(sr == new.root, "the newer tree does not begin with the older one")


# Entries


def without_duplicates(pairs):
    need(len({key for key, _ in pairs}) == len(pairs), "a key stands twice in an entry")
    return dict(pairs)


def read_entry(data, index):
    """The JSON of an entry, which must be in canonical form and say the place that it has."""
    try:
        # Numbers are doubles in RFC 8785.
        entry = json.loads(data, object_pairs_hook=without_duplicates, parse_int=float)
        canonical = rfc8785.dumps(entry)
    except (ValueError, rfc8785.CanonicalizationError) as error:
        raise Refused(f"entry {index + 1}: {error}") from None
    need(canonical == data, f"entry {index + 1} is not in canonical form")
    need(entry["format"] == FORMAT, f"entry {index + 1} has another format")
    need(entry["sequence"] == str(index + 1), f"entry {index + 1} says that it is {entry['sequence']}")
    return entry


def record_id(entry):
    return entry["record"]["attributes"]["audit.record.id"]["stringValue"].lower()


# Files


def tile_path(index):
    groups = [f"{index % 1000:03}"]
    while index >= 1000:
        index //= 1000
        groups.insert(0, f"x{index % 1000:03}")
    return "/".join(groups)


def read_tiles(folder, level, size):
    """The files of one level, or of the entries, of which the log has so many; each with the number that it must have."""
    for index in range((size + WIDTH - 1) // WIDTH):
        width = min(WIDTH, size - index * WIDTH)
        name = f"tile/{level}/{tile_path(index)}" + (f".p/{width}" if width < WIDTH else "")
        path = pathlib.Path(folder, name)
        need(path.is_file(), f"{name} is missing")
        yield name, width, path.read_bytes()


def read_bundles(folder, size):
    for name, width, data in read_tiles(folder, "entries", size):
        at = 0
        for _ in range(width):
            need(at + 2 <= len(data), f"{name} is cut")
            end = at + 2 + int.from_bytes(data[at : at + 2], "big")
            need(end <= len(data), f"{name} is cut")
            yield data[at + 2 : end]
            at = end
        need(at == len(data), f"{name} has more than {width} entries")


def check_tiles(folder, keys, older=()):
    """A whole log in tlog-tiles: the checkpoint's signature, each entry and its link, each tile, the root, older checkpoints.

    Returns the checkpoint and the entries.
    """
    checkpoint = Checkpoint.of(pathlib.Path(folder, "checkpoint").read_text(), keys)
    entries, leaves, ids = [], [], set()
    previous, recorded = sha256().hex(), 0
    for index, data in enumerate(read_bundles(folder, checkpoint.size)):
        entry = read_entry(data, index)
        need(entry["prev_hash"] == previous, f"entry {index + 1} is not linked to the one before it")
        need(int(entry["recorded"]) >= recorded, f"entry {index + 1} was recorded before the one before it")
        need(record_id(entry) not in ids, f"entry {index + 1} is there twice")
        ids.add(record_id(entry))
        previous, recorded = sha256(data).hex(), int(entry["recorded"])
        entries.append(entry)
        leaves.append(leaf_hash(data))
    need(tree_root(leaves) == checkpoint.root, "the entries are not those of the checkpoint")
    hashes, level = leaves, 0
    while hashes:
        for number, (name, width, data) in enumerate(read_tiles(folder, level, len(hashes))):
            expected = b"".join(hashes[number * WIDTH : number * WIDTH + width])
            need(data == expected, f"{name} is not that of the entries")
        full = len(hashes) // WIDTH
        hashes = [tree_root(hashes[i * WIDTH : (i + 1) * WIDTH]) for i in range(full)]
        level += 1
    for note in older:
        before = Checkpoint.of(note, keys)
        need(before.size <= checkpoint.size, f"a checkpoint of {before.size} entries was known, the log was cut")
        if before.size:
            check_consistency(before, checkpoint, consistency_proof(leaves, before.size))
    return checkpoint, entries


def check_dsse(line, keys):
    """One exported line: the envelope's signature, the checkpoint's, and the entry's place in its tree. Returns the entry."""
    envelope = json.loads(line)
    payload, kind = unbase64(envelope["payload"]), envelope["payloadType"]
    need(kind == PAYLOAD_TYPE, f"the payload is {kind!r}")
    signed = f"DSSEv1 {len(kind.encode())} {kind} {len(payload)} ".encode() + payload
    own = [(key, s) for s in envelope["signatures"] for key in keys if s["keyid"] == key.text]
    need(own, "no signature of a key that is known")
    for key, signature in own:
        key.check(unbase64(signature["sig"]), signed)
    content = json.loads(payload)
    need(rfc8785.dumps(content) == payload, "the payload is not in canonical form")
    return check_proven(
        content["entry"].encode(), content["index"], content["proof"], content["checkpoint"], keys
    )


def check_proof(text, keys):
    """A C2SP tlog-proof whose extra data is the entry. Returns the entry."""
    head, _, note = text.partition("\n\n")
    lines = head.split("\n")
    need(lines[0] == "c2sp.org/tlog-proof@v1", "no tlog-proof")
    need(len(lines) >= 3 and lines[1].startswith("extra "), "the proof has no entry")
    need(lines[2].startswith("index "), "the proof has no index")
    return check_proven(unbase64(lines[1][6:]), lines[2][6:], lines[3:], note, keys)


def check_proven(data, index, proof, note, keys):
    need(index.isascii() and index.isdigit(), f"no index: {index!r}")
    checkpoint = Checkpoint.of(note, keys)
    check_inclusion(leaf_hash(data), int(index), checkpoint, [unbase64(hash_) for hash_ in proof])
    return read_entry(data, int(index))


def main(key, kind, path, *older):
    keys = [VerifierKey(key)]
    text = "" if kind == "tiles" else pathlib.Path(path).read_text()
    if kind == "tiles":
        notes = [pathlib.Path(name).read_text() for name in older]
        checkpoint, _ = check_tiles(path, keys, notes)
        print(f"ok: {checkpoint.size} entries of {checkpoint.origin}, root {checkpoint.root.hex()}")
    elif kind == "dsse":
        print(f"ok: {len([check_dsse(line, keys) for line in text.splitlines()])} entries")
    else:
        print(f"ok: entry {check_proof(text, keys)['sequence']}")


if __name__ == "__main__":
    try:
        main(*sys.argv[1:])
    except Refused as refused:
        sys.exit(f"refused: {refused}")
