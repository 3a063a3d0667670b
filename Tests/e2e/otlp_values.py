"""Values of OTLP JSON as Python's, and back. What is empty is None."""


def wire(value):
    if value is None:
        return {}
    if isinstance(value, dict):
        return {"kvlistValue": {"values": attributes(value)}}
    if isinstance(value, list):
        return {"arrayValue": {"values": [wire(item) for item in value]}}
    if isinstance(value, bool):
        return {"boolValue": value}
    if isinstance(value, int):
        return {"intValue": str(value)}
    return {"doubleValue": value} if isinstance(value, float) else {"stringValue": value}


def attributes(entries):
    return [{"key": key, "value": wire(value)} for key, value in entries.items()]


def plain(value):
    for name, content in (value or {}).items():
        if name == "kvlistValue":
            return entries(content.get("values"))
        if name == "arrayValue":
            return [plain(item) for item in content.get("values", [])]
        if name == "doubleValue":
            return float(content)
        return int(content) if name == "intValue" else content
    return None


def entries(listed):
    return {entry["key"]: plain(entry.get("value")) for entry in listed or []}
