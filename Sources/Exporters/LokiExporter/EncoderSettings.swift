/// How records become entries; the same for all encoders of an exporter.
struct EncoderSettings: Sendable, Equatable {
    var mapping = LokiConfig.Mapping.native
    /// `mapping: legacy`: which labels are always there.
    var defaultLabels = LokiConfig.DefaultLabels()
    /// `mapping: native`: what becomes of attributes.
    var resourceRules = AttributeRules(
        rules: [.init(action: .indexLabel, attributes: AttributeRules.defaultIndexLabels)])
    var scopeRules = AttributeRules()
    var logRules = AttributeRules()
    /// `mapping: native`: whether `severity_text` is a label, too.
    var severityTextAsLabel = false
    /// The client metadata that names the tenant, in lower case; nil for none.
    var tenantMetadataKey: String?
    /// Whether `loki.tenant` names the tenant.
    var tenantFromHints = true
    var limits = LokiLimits()
    /// Most bytes of a push before compression, unless one entry alone is larger.
    var pushBytes = 1 << 20
    /// Off only in tests, which compare both ways.
    var allowsQuick = true
    /// Most entries of a push.
    var pushEntries = 1 << 16
}
