package tls

// Agree checks a certificate against crypto/x509, for the test of the corpus.
var Agree = agree
