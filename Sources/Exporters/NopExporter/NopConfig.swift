package import Configuration

/// The `nop` exporter has no keys.
package struct NopConfig: Sendable, Equatable {
    package init() {}

    /// Reports every key that is written.
    package init(_ section: ConfigSection) {
        section.finish()
    }
}
