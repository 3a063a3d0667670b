// A case of each rule: config/semgrep/run expects exactly these lines to be found. It is no part of any target.
import Foundation  // found: foundation
import NIOCore

func cases(logger: Logger, headers: Headers) {
    let value = try! parse("1")  // found: forced-try
    var tls = TLSConfiguration.makeClientConfiguration()
    tls.certificateVerification = .none  // found: insecure-verification
    tls.certificateVerification = .fullVerification
    logger.info("sent \(headers.authorization)")  // found: printed-secret
    logger.info("sent \(headers.count)")
}
