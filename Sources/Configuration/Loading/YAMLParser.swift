internal import CYaml

/// A place in a YAML text. Line and column start at 1; columns count Unicode scalars.
struct YAMLMark {
    let line: Int
    let column: Int
}

/// One step through a YAML text.
struct YAMLEvent {
    enum Content {
        case streamStart
        case streamEnd
        case documentStart
        case documentEnd
        /// The name of the anchor that it stands for.
        case alias(String)
        case scalar(YAMLScalar)
        case listStart
        case listEnd
        case sectionStart
        case sectionEnd
    }

    let content: Content
    /// The name that `&name` gave to this value.
    let anchor: String?
    /// Where the value begins, its anchor and tag included.
    let mark: YAMLMark
    /// Unicode scalars of a scalar written plainly on one line; 0 for anything else.
    let width: Int
}

/// A scalar as it was written.
struct YAMLScalar {
    let text: String
    /// Neither quoted nor a block.
    let isPlain: Bool
    /// Tagged `!!str`.
    let isTaggedText: Bool
}

/// Why a YAML text cannot be read further.
enum YAMLFault: Error {
    /// What is wrong and where; the context is what began at its mark.
    case syntax(problem: String, YAMLMark, context: String? = nil, YAMLMark? = nil)
    /// A character that YAML does not allow, at this offset in the UTF-8 bytes.
    case character(problem: String, offset: Int)
    /// No memory.
    case unreadable
}

/// The events of one YAML text, from libyaml's event parser, which does not recurse.
///
/// Confined to the thread that made it. After a fault or the end of the stream there is nothing more to ask
/// for.
@safe
final class YAMLParser {
    private static let textTag = "tag:yaml.org,2002:str"

    // SAFETY: both are allocated in init, owned by this object alone, never handed out, freed in deinit. The
    // parser keeps pointers to itself and into the bytes; neither moves.
    private let raw: UnsafeMutablePointer<yaml_parser_t>
    private let bytes: UnsafeMutableBufferPointer<UInt8>

    init(_ text: String) throws(YAMLFault) {
        let raw = UnsafeMutablePointer<yaml_parser_t>.allocate(capacity: 1)
        unsafe raw.initialize(to: yaml_parser_t())
        // SAFETY: one initialized parser. When this fails, it has freed what it took.
        guard unsafe yaml_parser_initialize(raw) == 1 else {
            unsafe raw.deallocate()
            throw .unreadable
        }
        let utf8 = text.utf8
        let bytes = UnsafeMutableBufferPointer<UInt8>.allocate(capacity: max(1, utf8.count))
        _ = unsafe bytes.initialize(from: utf8)
        unsafe yaml_parser_set_encoding(raw, YAML_UTF8_ENCODING)
        // SAFETY: the bytes are initialized up to the count and live as long as the parser.
        unsafe yaml_parser_set_input_string(raw, bytes.baseAddress, utf8.count)
        unsafe self.raw = raw
        unsafe self.bytes = bytes
    }

    deinit {
        // SAFETY: initialized in init, deleted once; the bytes are freed after the parser.
        unsafe yaml_parser_delete(raw)
        unsafe raw.deallocate()
        unsafe bytes.deallocate()
    }

    /// The next event.
    func next() throws(YAMLFault) -> YAMLEvent {
        var event = unsafe yaml_event_t()
        // SAFETY: the parser is live; when this fails, the event holds nothing that must be freed.
        guard unsafe yaml_parser_parse(raw, &event) == 1 else { throw fault() }
        defer { unsafe yaml_event_delete(&event) }
        return unsafe try Self.read(event)
    }

    /// Copies what an event holds. The event stays the caller's.
    private static func read(_ event: yaml_event_t) throws(YAMLFault) -> YAMLEvent {
        // SAFETY (the whole function): of the union only the member that the type names is read; its pointers
        // are NULL or live until the event is deleted, after this function.
        var width = 0
        var anchor: String?
        let content: YAMLEvent.Content
        switch unsafe event.type {
        case YAML_STREAM_START_EVENT: content = .streamStart
        case YAML_STREAM_END_EVENT: content = .streamEnd
        case YAML_DOCUMENT_START_EVENT: content = .documentStart
        case YAML_DOCUMENT_END_EVENT: content = .documentEnd
        case YAML_SEQUENCE_START_EVENT:
            content = .listStart
            anchor = unsafe string(event.data.sequence_start.anchor)
        case YAML_SEQUENCE_END_EVENT: content = .listEnd
        case YAML_MAPPING_START_EVENT:
            content = .sectionStart
            anchor = unsafe string(event.data.mapping_start.anchor)
        case YAML_MAPPING_END_EVENT: content = .sectionEnd
        case YAML_ALIAS_EVENT: content = .alias(unsafe string(event.data.alias.anchor) ?? "")
        case YAML_SCALAR_EVENT:
            let scalar = unsafe event.data.scalar
            let tag = unsafe string(scalar.tag)
            let isPlain = unsafe scalar.style == YAML_PLAIN_SCALAR_STYLE
            anchor = unsafe string(scalar.anchor)
            // SAFETY: `length` bytes, which may hold NUL.
            let text = unsafe String(
                decoding: UnsafeBufferPointer(start: scalar.value, count: scalar.length), as: UTF8.self)
            content = .scalar(YAMLScalar(text: text, isPlain: isPlain, isTaggedText: tag == textTag))
            let (start, end) = unsafe (event.start_mark, event.end_mark)
            if isPlain, tag == nil, anchor == nil, start.line == end.line {
                width = end.column - start.column
            }
        default: throw .unreadable
        }
        return YAMLEvent(content: content, anchor: anchor, mark: unsafe mark(event.start_mark), width: width)
    }

    /// What stopped the parser.
    private func fault() -> YAMLFault {
        // SAFETY: problem and context are NULL or literals inside libyaml.
        let problem = unsafe raw.pointee.problem.map { unsafe String(cString: $0) } ?? ""
        switch unsafe raw.pointee.error {
        case YAML_READER_ERROR:
            return .character(problem: problem, offset: unsafe raw.pointee.problem_offset)
        case YAML_SCANNER_ERROR, YAML_PARSER_ERROR:
            return unsafe .syntax(
                problem: problem, Self.mark(raw.pointee.problem_mark),
                context: raw.pointee.context.map { unsafe String(cString: $0) },
                Self.mark(raw.pointee.context_mark))
        default:
            return .unreadable
        }
    }

    private static func mark(_ mark: yaml_mark_t) -> YAMLMark {
        YAMLMark(line: Int(mark.line) + 1, column: Int(mark.column) + 1)
    }

    private static func string(_ text: UnsafeMutablePointer<UInt8>?) -> String? {
        // SAFETY: NULL or a text that ends with NUL.
        unsafe text.map { unsafe String(cString: $0) }
    }
}
