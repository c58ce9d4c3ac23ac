//! Keys of authentication, authorization and TLS.

use super::broker_table;
use crate::keys::types::ConfigKey;

broker_table! { SECURITY;
    "authorizer.class.name": String = Some(""), Any, ReadOnly,
        "The authorizer; empty means that everything is allowed.";
    "principal.builder.class": Class = None, Any, PerBroker,
        "Accepted for compatibility: Java classes cannot be loaded.";
    "security.providers": String = None, Any, ReadOnly,
        "Accepted for compatibility: Java classes cannot be loaded.";
    "connections.max.reauth.ms": Long = Some("0"), Any, ReadOnly,
        "How long an authenticated session lasts before the client must authenticate again; 0 means for ever.";
    "delegation.token.secret.key": Password = None, Any, ReadOnly,
        "The secret that signs delegation tokens; not set means that there are none.";
    "delegation.token.max.lifetime.ms": Long = Some("604800000"), AtLeast(1), ReadOnly,
        "How long a delegation token may live, renewals included.";
    "delegation.token.expiry.time.ms": Long = Some("86400000"), AtLeast(1), ReadOnly,
        "How long a delegation token is valid without renewal.";
    "delegation.token.expiry.check.interval.ms": Long = Some("3600000"), AtLeast(1), ReadOnly,
        "How often expired delegation tokens are looked for.";
    "sasl.enabled.mechanisms": List = Some(""), Any, PerBroker,
        "The SASL mechanisms offered.";
    "sasl.jaas.config": Password = None, Any, PerBroker,
        "The credentials of a listener and mechanism, in the JAAS form.";
    "sasl.mechanism.inter.broker.protocol": String = Some("GSSAPI"), Any, PerBroker,
        "The SASL mechanism among brokers.";
    "sasl.mechanism.controller.protocol": String = Some("GSSAPI"), Any, ReadOnly,
        "The SASL mechanism among controllers.";
    "sasl.server.max.receive.size": Int = Some("524288"), Any, ReadOnly,
        "The largest SASL message a client may send.";
    "sasl.server.callback.handler.class": Class = None, Any, ReadOnly,
        "Accepted for compatibility: Java classes cannot be loaded.";
    "sasl.client.callback.handler.class": Class = None, Any, ReadOnly,
        "Accepted for compatibility: Java classes cannot be loaded.";
    "sasl.login.callback.handler.class": Class = None, Any, ReadOnly,
        "Accepted for compatibility: Java classes cannot be loaded.";
    "sasl.login.class": Class = None, Any, ReadOnly,
        "Accepted for compatibility: Java classes cannot be loaded.";
    "sasl.login.connect.timeout.ms": Int = None, Any, ReadOnly,
        "How long connecting to an identity provider may take.";
    "sasl.login.read.timeout.ms": Int = None, Any, ReadOnly,
        "How long an identity provider's answer may take.";
    "sasl.login.refresh.buffer.seconds": Short = Some("300"), Any, PerBroker,
        "How long before its end a credential is refreshed at the latest.";
    "sasl.login.refresh.min.period.seconds": Short = Some("60"), Any, PerBroker,
        "The shortest time between two refreshes of a credential.";
    "sasl.login.refresh.window.factor": Double = Some("0.8"), Any, PerBroker,
        "After which part of its life a credential is refreshed.";
    "sasl.login.refresh.window.jitter": Double = Some("0.05"), Any, PerBroker,
        "The random part of the time of a credential's refresh.";
    "sasl.login.retry.backoff.ms": Long = Some("100"), Any, ReadOnly,
        "The wait before a failed login is repeated.";
    "sasl.login.retry.backoff.max.ms": Long = Some("10000"), Any, ReadOnly,
        "The longest wait before a failed login is repeated.";
    "sasl.kerberos.kinit.cmd": String = Some("/usr/bin/kinit"), Any, PerBroker,
        "Accepted for compatibility: Kerberos is not offered.";
    "sasl.kerberos.min.time.before.relogin": Long = Some("60000"), Any, PerBroker,
        "Accepted for compatibility: Kerberos is not offered.";
    "sasl.kerberos.principal.to.local.rules": List = Some("DEFAULT"), Any, PerBroker,
        "Accepted for compatibility: Kerberos is not offered.";
    "sasl.kerberos.service.name": String = None, Any, PerBroker,
        "Accepted for compatibility: Kerberos is not offered.";
    "sasl.kerberos.ticket.renew.jitter": Double = Some("0.05"), Any, PerBroker,
        "Accepted for compatibility: Kerberos is not offered.";
    "sasl.kerberos.ticket.renew.window.factor": Double = Some("0.8"), Any, PerBroker,
        "Accepted for compatibility: Kerberos is not offered.";
    "sasl.oauthbearer.assertion.algorithm": String = Some("RS256"), OneOfIgnoringCase(&["ES256", "RS256"]), ReadOnly,
        "The algorithm that signs a client assertion.";
    "sasl.oauthbearer.assertion.claim.aud": String = None, Any, ReadOnly,
        "The audience of a client assertion.";
    "sasl.oauthbearer.assertion.claim.exp.seconds": Int = Some("300"), Between(0.0, 86400.0), ReadOnly,
        "How long a client assertion is valid.";
    "sasl.oauthbearer.assertion.claim.iss": String = None, Any, ReadOnly,
        "The issuer of a client assertion.";
    "sasl.oauthbearer.assertion.claim.jti.include": Bool = Some("false"), Any, ReadOnly,
        "Whether a client assertion carries a unique id.";
    "sasl.oauthbearer.assertion.claim.nbf.seconds": Int = Some("60"), Between(0.0, 3600.0), ReadOnly,
        "How far back the start of a client assertion's validity is set.";
    "sasl.oauthbearer.assertion.claim.sub": String = None, Any, ReadOnly,
        "The subject of a client assertion.";
    "sasl.oauthbearer.assertion.file": String = None, Any, ReadOnly,
        "A file with a finished client assertion.";
    "sasl.oauthbearer.assertion.private.key.file": String = None, Any, ReadOnly,
        "The key file that signs client assertions.";
    "sasl.oauthbearer.assertion.private.key.passphrase": Password = None, Any, ReadOnly,
        "The passphrase of the key that signs client assertions.";
    "sasl.oauthbearer.assertion.template.file": String = None, Any, ReadOnly,
        "A file with further claims of client assertions.";
    "sasl.oauthbearer.client.credentials.client.id": String = None, Any, ReadOnly,
        "The client id for the client credentials grant.";
    "sasl.oauthbearer.client.credentials.client.secret": Password = None, Any, ReadOnly,
        "The client secret for the client credentials grant.";
    "sasl.oauthbearer.clock.skew.seconds": Int = Some("30"), Any, ReadOnly,
        "How far the clocks of this node and of an identity provider may differ.";
    "sasl.oauthbearer.expected.audience": List = None, Any, ReadOnly,
        "The audiences a token may be meant for.";
    "sasl.oauthbearer.expected.issuer": String = None, Any, ReadOnly,
        "The issuer a token must come from.";
    "sasl.oauthbearer.jwks.endpoint.refresh.ms": Long = Some("3600000"), Any, ReadOnly,
        "How often the keys of an identity provider are read again.";
    "sasl.oauthbearer.jwks.endpoint.retry.backoff.ms": Long = Some("100"), Any, ReadOnly,
        "The wait before a failed reading of the keys is repeated.";
    "sasl.oauthbearer.jwks.endpoint.retry.backoff.max.ms": Long = Some("10000"), Any, ReadOnly,
        "The longest wait before a failed reading of the keys is repeated.";
    "sasl.oauthbearer.jwks.endpoint.url": String = None, Any, ReadOnly,
        "Where the keys of an identity provider are.";
    "sasl.oauthbearer.jwt.retriever.class": Class = None, Any, ReadOnly,
        "Accepted for compatibility: Java classes cannot be loaded.";
    "sasl.oauthbearer.jwt.validator.class": Class = None, Any, ReadOnly,
        "Accepted for compatibility: Java classes cannot be loaded.";
    "sasl.oauthbearer.scope": String = None, Any, ReadOnly,
        "The scope asked for with a token.";
    "sasl.oauthbearer.scope.claim.name": String = Some("scope"), Any, ReadOnly,
        "The claim that holds a token's scope.";
    "sasl.oauthbearer.sub.claim.name": String = Some("sub"), Any, ReadOnly,
        "The claim that holds a token's subject.";
    "sasl.oauthbearer.token.endpoint.url": String = None, Any, ReadOnly,
        "Where tokens are issued.";
    "ssl.allow.dn.changes": Bool = Some("false"), Any, ReadOnly,
        "Whether a new key store may name another subject.";
    "ssl.allow.san.changes": Bool = Some("false"), Any, ReadOnly,
        "Whether a new key store may name other alternative names.";
    "ssl.cipher.suites": List = Some(""), Any, PerBroker,
        "The cipher suites offered; empty means the library's.";
    "ssl.client.auth": String = Some("none"), OneOf(&["required", "requested", "none"]), PerBroker,
        "Whether clients must, may or need not show a certificate.";
    "ssl.enabled.protocols": List = Some("TLSv1.2,TLSv1.3"), Any, PerBroker,
        "The TLS versions offered.";
    "ssl.endpoint.identification.algorithm": String = Some("https"), Any, PerBroker,
        "How the name in a server's certificate is checked; empty means not at all.";
    "ssl.engine.factory.class": Class = None, Any, PerBroker,
        "Accepted for compatibility: Java classes cannot be loaded.";
    "ssl.key.password": Password = None, Any, PerBroker,
        "The password of the private key.";
    "ssl.keymanager.algorithm": String = Some("SunX509"), Any, PerBroker,
        "Accepted for compatibility: a Java setting.";
    "ssl.keystore.certificate.chain": Password = None, Any, PerBroker,
        "The certificate chain, in PEM form.";
    "ssl.keystore.key": Password = None, Any, PerBroker,
        "The private key, in PEM form.";
    "ssl.keystore.location": String = None, Any, PerBroker,
        "The key store file.";
    "ssl.keystore.password": Password = None, Any, PerBroker,
        "The password of the key store file.";
    "ssl.keystore.type": String = Some("JKS"), Any, PerBroker,
        "The format of the key store.";
    "ssl.principal.mapping.rules": String = Some("DEFAULT"), Any, ReadOnly,
        "How the subject of a client's certificate becomes a user name.";
    "ssl.protocol": String = Some("TLSv1.3"), Any, PerBroker,
        "Accepted for compatibility: ssl.enabled.protocols decides.";
    "ssl.provider": String = None, Any, PerBroker,
        "Accepted for compatibility: a Java setting.";
    "ssl.secure.random.implementation": String = None, Any, PerBroker,
        "Accepted for compatibility: a Java setting.";
    "ssl.trustmanager.algorithm": String = Some("PKIX"), Any, PerBroker,
        "Accepted for compatibility: a Java setting.";
    "ssl.truststore.certificates": Password = None, Any, PerBroker,
        "The trusted certificates, in PEM form.";
    "ssl.truststore.location": String = None, Any, PerBroker,
        "The trust store file.";
    "ssl.truststore.password": Password = None, Any, PerBroker,
        "The password of the trust store file.";
    "ssl.truststore.type": String = Some("JKS"), Any, PerBroker,
        "The format of the trust store.";
}
