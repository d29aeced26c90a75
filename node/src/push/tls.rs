//! Whom pushes over TLS trust: the certificates of the system, and those of the configuration.

use std::path::Path;
use std::sync::Arc;

use rustls::crypto::ring;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};

/// Why there is no TLS configuration.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    #[error("push.ca-file {path} cannot be used: {reason}")]
    CaFile { path: String, reason: String },
    #[error("no TLS: {0}")]
    Protocol(#[from] rustls::Error),
}

/// # Errors
/// When the file cannot be read or holds no certificate.
pub fn client_config(ca_file: &Path) -> Result<ClientConfig, TlsError> {
    let mut roots = RootCertStore::empty();
    let system = rustls_native_certs::load_native_certs();
    let (added, _) = roots.add_parsable_certificates(system.certs);
    if added == 0 {
        tracing::warn!("the system has no certificates: https callbacks need push.ca-file");
    }
    if !ca_file.as_os_str().is_empty() {
        add_file(&mut roots, ca_file)?;
    }
    // The provider is named here, so that nothing depends on what a process has installed.
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(config)
}

fn add_file(roots: &mut RootCertStore, path: &Path) -> Result<(), TlsError> {
    let failed = |reason: String| TlsError::CaFile { path: path.display().to_string(), reason };
    let mut added = 0;
    for certificate in CertificateDer::pem_file_iter(path).map_err(|it| failed(it.to_string()))? {
        let certificate = certificate.map_err(|it| failed(it.to_string()))?;
        roots.add(certificate).map_err(|it| failed(it.to_string()))?;
        added += 1;
    }
    if added == 0 { Err(failed("it holds no certificate".to_owned())) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_without_certificates_is_refused() {
        assert!(client_config(Path::new("")).is_ok());
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("ca.pem");
        assert!(client_config(&file).is_err());
        std::fs::write(&file, "no certificate").unwrap();
        let error = client_config(&file).unwrap_err();
        assert!(error.to_string().contains("no certificate"), "{error}");
    }
}
