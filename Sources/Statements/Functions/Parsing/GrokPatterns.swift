/// The patterns that `ExtractGrokPatterns` knows: those of the Elastic stack, without look-around, which RE2 does not have.
enum GrokPatterns {
    static let known: [String: String] = {
        var patterns: [String: String] = [:]
        for line in (basics + "\n" + times + "\n" + logs).split(separator: "\n") {
            guard let space = line.firstIndex(of: " ") else { continue }
            patterns[String(line[..<space])] = String(line[line.index(after: space)...])
        }
        patterns["IPV6"] = ipv6
        return patterns
    }()

    /// Addresses of version 6 (RFC 4291), of more groups before of fewer ones: the first alternative that fits counts.
    private static let ipv6: String = {
        let group = "[0-9A-Fa-f]{1,4}"
        let byte = #"(?:25[0-5]|2[0-4]\d|1\d\d|[1-9]?\d)"#
        let four = byte + #"(?:\."# + byte + "){3}"
        var forms = ["(?:\(group):){7}(?:\(group)|:)", "(?:\(group):){6}(?:\(four)|:\(group)|:)"]
        // So many groups, then at least two colons with the rest behind them.
        for before in (0...5).reversed() {
            let start = before == 0 ? ":" : "(?:\(group):){\(before)}"
            forms.append(
                start + "(?:(?::\(group)){0,\(5 - before)}:\(four)|(?::\(group)){1,\(7 - before)}|:)")
        }
        return "(?:" + forms.joined(separator: "|") + ")(?:%[0-9A-Za-z]+)?"
    }()

    private static let basics = #"""
        USERNAME [a-zA-Z0-9._-]+
        USER %{USERNAME}
        EMAILLOCALPART [a-zA-Z0-9!#$%&'*+\-/=?^_`{|}~]{1,64}(?:\.[a-zA-Z0-9!#$%&'*+\-/=?^_`{|}~]{1,62})*
        EMAILADDRESS %{EMAILLOCALPART}@%{HOSTNAME}
        INT (?:[+-]?(?:[0-9]+))
        BASE10NUM [+-]?(?:[0-9]+(?:\.[0-9]+)?|\.[0-9]+)
        NUMBER (?:%{BASE10NUM})
        BASE16NUM [+-]?(?:0x)?[0-9A-Fa-f]+
        BASE16FLOAT \b[+-]?(?:0x)?(?:(?:[0-9A-Fa-f]+(?:\.[0-9A-Fa-f]*)?)|(?:\.[0-9A-Fa-f]+))\b
        POSINT \b[1-9][0-9]*\b
        NONNEGINT \b[0-9]+\b
        BOOL (?:true|false)
        WORD \b\w+\b
        NOTSPACE \S+
        SPACE \s*
        DATA .*?
        GREEDYDATA .*
        QUOTEDSTRING (?:"(?:\\.|[^\\"])*"|'(?:\\.|[^\\'])*'|`(?:\\.|[^\\`])*`)
        QS %{QUOTEDSTRING}
        UUID [A-Fa-f0-9]{8}-(?:[A-Fa-f0-9]{4}-){3}[A-Fa-f0-9]{12}
        URN urn:[0-9A-Za-z][0-9A-Za-z-]{0,31}:(?:%[0-9a-fA-F]{2}|[0-9A-Za-z()+,.:=@;$_!*'/?#-])+
        CISCOMAC (?:(?:[A-Fa-f0-9]{4}\.){2}[A-Fa-f0-9]{4})
        WINDOWSMAC (?:(?:[A-Fa-f0-9]{2}-){5}[A-Fa-f0-9]{2})
        COMMONMAC (?:(?:[A-Fa-f0-9]{2}:){5}[A-Fa-f0-9]{2})
        MAC (?:%{CISCOMAC}|%{WINDOWSMAC}|%{COMMONMAC})
        IPV4 (?:(?:25[0-5]|2[0-4][0-9]|[0-1]?[0-9]{1,2})\.(?:25[0-5]|2[0-4][0-9]|[0-1]?[0-9]{1,2})\.(?:25[0-5]|2[0-4][0-9]|[0-1]?[0-9]{1,2})\.(?:25[0-5]|2[0-4][0-9]|[0-1]?[0-9]{1,2}))
        IP (?:%{IPV6}|%{IPV4})
        HOSTNAME \b(?:[0-9A-Za-z][0-9A-Za-z-]{0,62})(?:\.(?:[0-9A-Za-z][0-9A-Za-z-]{0,62}))*(?:\.?|\b)
        HOST %{HOSTNAME}
        IPORHOST (?:%{IP}|%{HOSTNAME})
        HOSTPORT %{IPORHOST}:%{POSINT}
        UNIXPATH (?:/[\w_%!$@:.,+~-]+)+
        TTY (?:/dev/(?:pts|tty(?:[pq])?)(?:\w+)?/?(?:[0-9]+))
        WINPATH (?:[A-Za-z]+:|\\)(?:\\[^\\?*]*)+
        PATH (?:%{UNIXPATH}|%{WINPATH})
        URIPROTO [A-Za-z](?:[A-Za-z0-9+\-.]+)+
        URIHOST %{IPORHOST}(?::%{POSINT})?
        URIPATH (?:/[A-Za-z0-9$.+!*'(){},~:;=@#%&_\-]+)+
        URIQUERY [A-Za-z0-9$.+!*'|(){},~@#%&/=:;_?\-\[\]<>]*
        URIPARAM \?%{URIQUERY}
        URIPATHPARAM %{URIPATH}(?:\?%{URIQUERY})?
        URI %{URIPROTO}://(?:%{USER}(?::[^@]*)?@)?(?:%{URIHOST})?(?:%{URIPATH}(?:\?%{URIQUERY})?)?
        """#

    private static let times = #"""
        MONTH \b(?:[Jj]an(?:uary|uar)?|[Ff]eb(?:ruary|ruar)?|[Mm](?:a|ä)?r(?:ch|z)?|[Aa]pr(?:il)?|[Mm]a(?:y|i)?|[Jj]un(?:e|i)?|[Jj]ul(?:y|i)?|[Aa]ug(?:ust)?|[Ss]ep(?:tember)?|[Oo](?:c|k)?t(?:ober)?|[Nn]ov(?:ember)?|[Dd]e(?:c|z)(?:ember)?)\b
        MONTHNUM (?:0[1-9]|1[0-2]|[1-9])
        MONTHNUM2 (?:0[1-9]|1[0-2])
        MONTHDAY (?:(?:0[1-9])|(?:[12][0-9])|(?:3[01])|[1-9])
        DAY (?:Mon(?:day)?|Tue(?:sday)?|Wed(?:nesday)?|Thu(?:rsday)?|Fri(?:day)?|Sat(?:urday)?|Sun(?:day)?)
        YEAR (?:\d\d){1,2}
        HOUR (?:2[0123]|[01]?[0-9])
        MINUTE (?:[0-5][0-9])
        SECOND (?:(?:[0-5]?[0-9]|60)(?:[:.,][0-9]+)?)
        TIME %{HOUR}:%{MINUTE}(?::%{SECOND})?
        DATE_US %{MONTHNUM}[/-]%{MONTHDAY}[/-]%{YEAR}
        DATE_EU %{MONTHDAY}[./-]%{MONTHNUM}[./-]%{YEAR}
        ISO8601_TIMEZONE (?:Z|[+-]%{HOUR}(?::?%{MINUTE}))
        ISO8601_SECOND %{SECOND}
        TIMESTAMP_ISO8601 %{YEAR}-%{MONTHNUM}-%{MONTHDAY}[T ]%{HOUR}:?%{MINUTE}(?::?%{SECOND})?%{ISO8601_TIMEZONE}?
        DATE (?:%{DATE_US}|%{DATE_EU})
        DATESTAMP %{DATE}[- ]%{TIME}
        TZ (?:[PMACE][SED]T|UTC)
        DATESTAMP_RFC822 %{DAY} %{MONTH} %{MONTHDAY} %{YEAR} %{TIME} %{TZ}
        DATESTAMP_RFC2822 %{DAY}, %{MONTHDAY} %{MONTH} %{YEAR} %{TIME} %{ISO8601_TIMEZONE}
        DATESTAMP_OTHER %{DAY} %{MONTH} %{MONTHDAY} %{TIME} %{TZ} %{YEAR}
        DATESTAMP_EVENTLOG %{YEAR}%{MONTHNUM2}%{MONTHDAY}%{HOUR}%{MINUTE}%{SECOND}
        SYSLOGTIMESTAMP %{MONTH} +%{MONTHDAY} %{TIME}
        HTTPDATE %{MONTHDAY}/%{MONTH}/%{YEAR}:%{TIME} %{INT}
        HTTPDERROR_DATE %{DAY} %{MONTH} %{MONTHDAY} %{TIME} %{YEAR}
        """#

    private static let logs = #"""
        LOGLEVEL (?i:alert|trace|debug|notice|info(?:rmation)?|warn(?:ing)?|err(?:or)?|crit(?:ical)?|fatal|severe|emerg(?:ency)?)
        PROG [\x21-\x5a\x5c\x5e-\x7e]+
        SYSLOGPROG %{PROG}(?:\[\d+\])?
        SYSLOGHOST %{IPORHOST}
        SYSLOGFACILITY <%{NONNEGINT}.%{NONNEGINT}>
        SYSLOGBASE %{SYSLOGTIMESTAMP:timestamp} (?:%{SYSLOGFACILITY} )?%{SYSLOGHOST:host.hostname} %{SYSLOGPROG}:
        SYSLOGBASE2 (?:%{SYSLOGTIMESTAMP:timestamp}|%{TIMESTAMP_ISO8601:timestamp})(?: %{SYSLOGFACILITY})?(?: %{SYSLOGHOST:host.hostname})?(?: %{SYSLOGPROG}:)?
        SYSLOGLINE %{SYSLOGBASE2} %{GREEDYDATA:message}
        SYSLOG5424PRINTASCII [!-~]+
        SYSLOG5424PRI <%{NONNEGINT:log.syslog.priority:int}>
        SYSLOG5424SD \[%{DATA}\]+
        SYSLOG5424BASE %{SYSLOG5424PRI}%{NONNEGINT:system.syslog.version} +(?:-|%{TIMESTAMP_ISO8601:timestamp}) +(?:-|%{IPORHOST:host.hostname}) +(?:-|%{SYSLOG5424PRINTASCII:process.name}) +(?:-|%{POSINT:process.pid:int}) +(?:-|%{SYSLOG5424PRINTASCII:event.code}) +(?:-|%{SYSLOG5424SD:system.syslog.structured_data})?
        SYSLOG5424LINE %{SYSLOG5424BASE} +%{GREEDYDATA:message}
        HTTPDUSER (?:%{EMAILADDRESS}|%{USER})
        HTTPD_COMMONLOG %{IPORHOST:source.address} (?:-|%{HTTPDUSER:apache.access.user.identity}) (?:-|%{HTTPDUSER:user.name}) \[%{HTTPDATE:timestamp}\] "(?:%{WORD:http.request.method} %{NOTSPACE:url.original}(?: HTTP/%{NUMBER:http.version})?|%{DATA})" (?:-|%{INT:http.response.status_code:int}) (?:-|%{INT:http.response.body.bytes:int})
        HTTPD_COMBINEDLOG %{HTTPD_COMMONLOG} "(?:-|%{DATA:http.request.referrer})" "(?:-|%{DATA:user_agent.original})"
        COMMONAPACHELOG %{HTTPD_COMMONLOG}
        COMBINEDAPACHELOG %{HTTPD_COMBINEDLOG}
        JAVACLASS (?:[a-zA-Z$_][a-zA-Z$_0-9]*\.)*[a-zA-Z$_][a-zA-Z$_0-9]*
        JAVAFILE (?:[a-zA-Z$_0-9. -]+)
        JAVAMETHOD (?:<(?:cl)?init>|[a-zA-Z$_][a-zA-Z$_0-9]*)
        JAVATHREAD (?:[A-Z]{2}-Processor[\d]+)
        JAVALOGMESSAGE (?:.*)
        JAVASTACKTRACEPART (?:\s*at\s+)%{JAVACLASS:java.log.origin.class.name}\.%{JAVAMETHOD:log.origin.function}\((?:%{JAVAFILE:log.origin.file.name}(?::%{INT:log.origin.file.line:int})?)?\)
        REDISTIMESTAMP %{MONTHDAY} %{MONTH} %{TIME}
        REDISLOG \[%{POSINT:process.pid:int}\] %{REDISTIMESTAMP:timestamp} \*
        RUBY_LOGLEVEL (?:DEBUG|FATAL|ERROR|WARN|INFO)
        RUBY_LOGGER [DFEWI], \[%{TIMESTAMP_ISO8601:timestamp} #%{POSINT:process.pid:int}\] *%{RUBY_LOGLEVEL:log.level} -- +%{DATA:process.name}: %{GREEDYDATA:message}
        MONGO_LOG %{SYSLOGTIMESTAMP:timestamp} \[%{WORD:mongodb.component}\] %{GREEDYDATA:message}
        POSTGRESQL %{DATESTAMP:timestamp} %{TZ} %{DATA:user.name} %{GREEDYDATA:postgresql.log.connection_id} %{POSINT:process.pid:int}
        """#
}
