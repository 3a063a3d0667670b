package import OTLP
package import Pipeline

/// A request before and after a transform, as OTLP JSON: what tests of processors write and read.
package struct EditedRequest {
    /// The request as it came out.
    package let json: String
    /// Whether anything changed.
    package let isChanged: Bool
    /// Why the transform refused it.
    package let refusal: Refusal?

    /// Applies a transform to a request of OTLP JSON.
    package init(
        _ json: String, _ signal: Signal, _ transform: any RequestTransform,
        metadata: ClientMetadata? = nil, client: ClientAddress? = nil
    ) throws {
        let bytes = try Self.bytes(json, signal)
        let editor = RequestEditor()
        var refusal: Refusal?
        var written: [UInt8] = bytes
        var isChanged = false
        bytes.withUnsafeBytes { buffer in
            editor.open(WireBytes(buffer))
            do throws(Refusal) {
                try transform.apply(
                    to: editor,
                    EditContext(
                        signal: signal, items: (try? summarize(buffer, as: signal).items) ?? 0,
                        metadata: metadata, client: client))
                isChanged = editor.isChanged
                written = [UInt8](unsafeUninitializedCapacity: editor.writtenCount) { room, count in
                    count = editor.writtenCount
                    editor.write(
                        into: UnsafeMutableRawBufferPointer(
                            rebasing: UnsafeMutableRawBufferPointer(room)[..<count]))
                }
            } catch {
                refusal = error
            }
        }
        self.json = Self.json(written, signal)
        self.isChanged = isChanged
        self.refusal = refusal
    }

    /// OTLP JSON as protobuf.
    package static func bytes(_ json: String, _ signal: Signal) throws -> [UInt8] {
        let text = Array(json.utf8)
        return try text.withUnsafeBytes { text in
            let output = UnsafeMutableRawBufferPointer.allocate(byteCount: 4 * text.count + 64, alignment: 8)
            defer { output.deallocate() }
            return Array(output[..<(try readOTLPJSON(text, as: signal, into: output))])
        }
    }

    /// Protobuf as OTLP JSON.
    package static func json(_ bytes: [UInt8], _ signal: Signal) -> String {
        var writer = OTLPJSONWriter()
        writer.begin(signal)
        bytes.withUnsafeBytes { writer.append(WireBytes($0)) }
        writer.end()
        return writer.text.withBytes { $0.text }
    }
}
