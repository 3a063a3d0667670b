/// Certificates for tests, made with openssl; valid until 2126 and worth nothing.
enum TestCertificates {
    /// The authority that signed the two below.
    static let authority = """
        -----BEGIN CERTIFICATE-----
        MIIBiDCCAS+gAwIBAgIUYm1djtLhUv1x42w8Td3VvpeEaZwwCgYIKoZIzj0EAwIw
        GTEXMBUGA1UEAwwOdGVzdCBhdXRob3JpdHkwIBcNMjYxMTI0MDI0MTI3WhgPMjEy
        NjEwMzEwMjQxMjdaMBkxFzAVBgNVBAMMDnRlc3QgYXV0aG9yaXR5MFkwEwYHKoZI
        zj0CAQYIKoZIzj0DAQcDQgAE3wSN0BDmIeO/lnItm6xX43HTqODGKYhTGCRqaJw6
        TtBlyu217wjnxhsBtPmCkMTYArlHx0z/ZiPET6YPGp+Gu6NTMFEwHQYDVR0OBBYE
        FCV+liW6b6SQxuVlUqDfE8Xta2BmMB8GA1UdIwQYMBaAFCV+liW6b6SQxuVlUqDf
        E8Xta2BmMA8GA1UdEwEB/wQFMAMBAf8wCgYIKoZIzj0EAwIDRwAwRAIgMrf7Sy5Z
        IQXH2tsztCCcNsGSQ9lcnkQNBgSyZjrMOtgCIAJPn4K2Lo27UHtluv0aiWFKYeoh
        aX5cS7j0J2kTWCyf
        -----END CERTIFICATE-----
        """

    /// One that signed nothing.
    static let otherAuthority = """
        -----BEGIN CERTIFICATE-----
        MIIBjzCCATWgAwIBAgIUS2hR1STVjbtgt9jQh+dyVWP/Sl0wCgYIKoZIzj0EAwIw
        HDEaMBgGA1UEAwwRYW5vdGhlciBhdXRob3JpdHkwIBcNMjYxMTI0MDI0MTI3WhgP
        MjEyNjEwMzEwMjQxMjdaMBwxGjAYBgNVBAMMEWFub3RoZXIgYXV0aG9yaXR5MFkw
        EwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAErBG7JpRJK+cjP1Iv/GH4WzjL/uazQQcj
        RImyyejCcV4PuClfxEqjQsg7d80V6ex4pNfwLNCvZ1wzmn24qneNg6NTMFEwHQYD
        VR0OBBYEFBC312XooCcUTdTRHpBqRyBmUDA1MB8GA1UdIwQYMBaAFBC312XooCcU
        TdTRHpBqRyBmUDA1MA8GA1UdEwEB/wQFMAMBAf8wCgYIKoZIzj0EAwIDSAAwRQIh
        AOncotRYnBhPLVKWy+5unpzKPxBqzRzSyBf6WNm5bx61AiAu1XJM1MiMkQQpLFd8
        BsNPnml9u0m6BdSgib6HfF7eQg==
        -----END CERTIFICATE-----
        """

    /// For `localhost` and 127.0.0.1.
    static let server = """
        -----BEGIN CERTIFICATE-----
        MIIBlzCCAT2gAwIBAgIUaalr+Fe2O0+xer37c1i1FVDU1OEwCgYIKoZIzj0EAwIw
        GTEXMBUGA1UEAwwOdGVzdCBhdXRob3JpdHkwIBcNMjYxMTI0MDI0MTI3WhgPMjEy
        NjEwMzEwMjQxMjdaMBExDzANBgNVBAMMBnNlcnZlcjBZMBMGByqGSM49AgEGCCqG
        SM49AwEHA0IABAg31DFRXj+ucisbWpNGNcJAVPq48+1MC135SvtgJj63B4JLdsX5
        Yr2LQ5QZB9Z+g+9p1kN1wyqT/LHqt8nJxAajaTBnMBoGA1UdEQQTMBGCCWxvY2Fs
        aG9zdIcEfwAAATAJBgNVHRMEAjAAMB0GA1UdDgQWBBSwO3qV+dbPS+/GVDNHoU/M
        Ax2ylzAfBgNVHSMEGDAWgBQlfpYlum+kkMblZVKg3xPF7WtgZjAKBggqhkjOPQQD
        AgNIADBFAiBBko6o9mgt9nrpO5D7puaDJkJK2WL2oe4qaY3LeBR0WAIhANxxdxFI
        Vaj9gaYYzKvPvaFzP9j6XwJgMm+/JKaAUYoI
        -----END CERTIFICATE-----
        """

    /// Key of `server`.
    static let serverKey = """
        -----BEGIN PRIVATE KEY-----
        MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgb2an23hfCF08FVty
        cbw5jlt5vWo7ALCoPrHoL8pgb0+hRANCAAQIN9QxUV4/rnIrG1qTRjXCQFT6uPPt
        TAtd+Ur7YCY+tweCS3bF+WK9i0OUGQfWfoPvadZDdcMqk/yx6rfJycQG
        -----END PRIVATE KEY-----
        """

    /// A client's.
    static let client = """
        -----BEGIN CERTIFICATE-----
        MIIBmDCCAT2gAwIBAgIUaalr+Fe2O0+xer37c1i1FVDU1OIwCgYIKoZIzj0EAwIw
        GTEXMBUGA1UEAwwOdGVzdCBhdXRob3JpdHkwIBcNMjYxMTI0MDI0MTI3WhgPMjEy
        NjEwMzEwMjQxMjdaMBExDzANBgNVBAMMBmNsaWVudDBZMBMGByqGSM49AgEGCCqG
        SM49AwEHA0IABAyLf917DsLeBffsL6eTTXZ+0zmcSG5h+8uzkDDbBc6ioJGJNF9L
        k2oQ1cO8vio6TnvDpYxV69WSTurE0PK8lKejaTBnMBoGA1UdEQQTMBGCCWxvY2Fs
        aG9zdIcEfwAAATAJBgNVHRMEAjAAMB0GA1UdDgQWBBRzwTDY/F4lxODcTVn6mOOl
        T7NLSjAfBgNVHSMEGDAWgBQlfpYlum+kkMblZVKg3xPF7WtgZjAKBggqhkjOPQQD
        AgNJADBGAiEA2+5YWwCO9ppxD8A87f399BleSPZKghaMD60/I0P3ZJwCIQCIlqAa
        jzVLyNgYGJSKXGW8z0D7r7Zug6Y5n15yCua55Q==
        -----END CERTIFICATE-----
        """

    /// Key of `client`.
    static let clientKey = """
        -----BEGIN PRIVATE KEY-----
        MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgn/Op/nq4mhieZxDY
        DTKaIKZtc+WPMU9PvB75jq+Or96hRANCAAQMi3/dew7C3gX37C+nk012ftM5nEhu
        YfvLs5Aw2wXOoqCRiTRfS5NqENXDvL4qOk57w6WMVevVkk7qxNDyvJSn
        -----END PRIVATE KEY-----
        """

    /// For `localhost` and 127.0.0.1, signed by itself with Ed25519.
    static let edwards = """
        -----BEGIN CERTIFICATE-----
        MIIBWzCCAQ2gAwIBAgIUDj/vbUQ06w+kZS7choXsRJp4BYAwBQYDK2VwMBQxEjAQ
        BgNVBAMMCWxvY2FsaG9zdDAgFw0yNjExMjkwMzMyNTVaGA8yMTI2MTEwNTAzMzI1
        NVowFDESMBAGA1UEAwwJbG9jYWxob3N0MCowBQYDK2VwAyEA+/n/wgzcftSrHI3d
        n9zZ3Vz2AnzEbJ+fvF3NONQWAXCjbzBtMB0GA1UdDgQWBBQGVGK3XnTzp3ioXAkC
        2uXG4r7vHDAfBgNVHSMEGDAWgBQGVGK3XnTzp3ioXAkC2uXG4r7vHDAPBgNVHRMB
        Af8EBTADAQH/MBoGA1UdEQQTMBGCCWxvY2FsaG9zdIcEfwAAATAFBgMrZXADQQDw
        icMNZt98xUQGKnXWsloSF++0wLPXl/O9cYEPsqIgFx++RosqKMphqhdBUO0rtVUS
        DAu6X92rcoi4TEMbDW4P
        -----END CERTIFICATE-----
        """

    /// Its key.
    static let edwardsKey = """
        -----BEGIN PRIVATE KEY-----
        MC4CAQAwBQYDK2VwBCIEIAcD6fLLx9C+VaM1um9ErMDFuJBOnkT/4TIuUUpubZTN
        -----END PRIVATE KEY-----
        """
}
