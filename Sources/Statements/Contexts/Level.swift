internal import OTLP

/// The messages of a frame that paths begin at.
enum Level {
    case resourceGroup, resource, scopeGroup, scope, item, part, exemplar

    @inline(__always)
    func message(_ frame: Frame) -> MessageID {
        switch self {
        case .resourceGroup: frame.resourceGroup
        case .resource: frame.resource
        case .scopeGroup: frame.scopeGroup
        case .scope: frame.scope
        case .item: frame.item
        case .part: frame.part
        case .exemplar: frame.exemplar
        }
    }
}

extension RequestEditor {
    func setContent(_ message: MessageID, _ number: UInt32, _ content: Bytes) {
        content.lend { setContent(message, number, $0) }
    }

    func setContent(_ message: MessageID, _ number: UInt32, _ content: [UInt8]) {
        setContent(message, number, .owned(content))
    }

    func append(_ message: MessageID, _ number: UInt32, _ content: Bytes) {
        content.lend { append(message, number, $0) }
    }

    /// The contents of the fields of a number.
    func contents(_ message: MessageID, _ number: UInt32) -> [Bytes] {
        var contents: [Bytes] = []
        for position in 0..<fieldCount(message) where self.number(message, at: position) == number {
            contents.append(.borrowed(content(message, at: position)))
        }
        return contents
    }
}
