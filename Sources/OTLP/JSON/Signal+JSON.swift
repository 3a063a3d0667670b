/// An `Export*ServiceRequest` as OTLP JSON; see `OTLPJSONWriter`, which is for whoever writes many.
///
/// The bytes must have passed `summarize`; they are borrowed for the call.
package func otlpJSON(_ request: UnsafeRawBufferPointer, _ signal: Signal) -> [UInt8] {
    var writer = OTLPJSONWriter(capacity: 3 * request.count + 64)
    writer.begin(signal)
    unsafe writer.append(WireBytes(request))
    writer.end()
    return writer.text.array
}
