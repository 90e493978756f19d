//! API signing keys, and the configuration folder that OCI clients read them from.

use std::{
    fs, io,
    os::unix::fs::{OpenOptionsExt, PermissionsExt},
    path::{Path, PathBuf},
};

use aws_lc_rs::{
    encoding::{AsDer, Pkcs8V1Der, PublicKeyX509Der},
    rsa::{KeyPair, KeySize},
    signature::KeyPair as _,
};
use md5::{Digest, Md5};
use pkcs8::{PrivateKeyInfoRef, pkcs5::pbes2};

use super::error::LabError;

/// An RSA key of a user, as the console makes one under "API keys".
///
/// The private key is in it: the type does not print it.
pub struct ApiKey {
    tenancy: String,
    user: String,
    fingerprint: String,
    private_key_pem: String,
    public_key: Vec<u8>,
}

impl ApiKey {
    /// Makes a new RSA-2048 key for a made-up user.
    ///
    /// # Errors
    /// [`LabError::ApiKey`] when the cryptographic library cannot make a key.
    pub fn generate() -> Result<Self, LabError> {
        let failed = |problem: &str| LabError::ApiKey { key_id: "new".into(), problem: problem.into() };
        let key = KeyPair::generate(KeySize::Rsa2048).map_err(|_| failed("no RSA key could be generated"))?;
        let private: Pkcs8V1Der<'_> = key.as_der().map_err(|_| failed("the key cannot be written as PKCS#8"))?;
        let public: PublicKeyX509Der<'_> =
            key.public_key().as_der().map_err(|_| failed("the public key cannot be written"))?;
        let fingerprint = fingerprint(public.as_ref());
        let unique = fingerprint.replace(':', "");
        Ok(Self {
            tenancy: format!("ocid1.tenancy.oc1..aaaaaaaalab{unique}"),
            user: format!("ocid1.user.oc1..aaaaaaaalab{unique}"),
            fingerprint,
            private_key_pem: pem::encode_config(
                &pem::Pem::new("PRIVATE KEY", private.as_ref()),
                pem::EncodeConfig::new().set_line_ending(pem::LineEnding::LF),
            ),
            public_key: public.as_ref().to_vec(),
        })
    }

    /// `tenancy/user/fingerprint`, the `keyId` of the Authorization header.
    pub fn key_id(&self) -> String {
        format!("{}/{}/{}", self.tenancy, self.user, self.fingerprint)
    }

    /// The tenancy's OCID.
    pub fn tenancy(&self) -> &str {
        &self.tenancy
    }

    /// The user's OCID.
    pub fn user(&self) -> &str {
        &self.user
    }

    /// MD5 of the DER SubjectPublicKeyInfo: lower-case hex with colons.
    pub fn fingerprint(&self) -> &str {
        &self.fingerprint
    }

    /// The private key as PKCS#8 PEM.
    pub fn private_key_pem(&self) -> &str {
        &self.private_key_pem
    }

    /// The public key as DER SubjectPublicKeyInfo.
    pub fn public_key_der(&self) -> &[u8] {
        &self.public_key
    }

    /// Writes `config` (profile DEFAULT, region us-ashburn-1) and `oci_api_key.pem`, both mode 0600, into `folder`,
    /// which is made when absent.
    ///
    /// # Errors
    /// [`LabError::ApiKey`] with the path that could not be written.
    pub fn write_config(&self, folder: &Path, label: KeyLabel) -> Result<OciConfigFiles, LabError> {
        let folder = std::path::absolute(folder).map_err(|error| self.not_written(folder, &error))?;
        fs::create_dir_all(&folder).map_err(|error| self.not_written(&folder, &error))?;
        let files = OciConfigFiles { config: folder.join("config"), key: folder.join("oci_api_key.pem") };
        let mut key = self.private_key_pem.clone();
        if label == KeyLabel::Present {
            key.push_str("OCI_API_KEY\n");
        }
        let config = format!(
            "[DEFAULT]\nuser={}\nfingerprint={}\ntenancy={}\nregion=us-ashburn-1\nkey_file={}\n",
            self.user,
            self.fingerprint,
            self.tenancy,
            files.key.display()
        );
        for (path, content) in [(&files.key, &key), (&files.config, &config)] {
            write_private(path, content).map_err(|error| self.not_written(path, &error))?;
        }
        Ok(files)
    }

    /// The private key as PKCS#8 PEM, encrypted as OpenSSL does it (PBES2 with PBKDF2 and AES-256).
    ///
    /// # Errors
    /// [`LabError::ApiKey`] when the cryptographic library cannot encrypt it.
    pub fn encrypted_private_key_pem(&self, pass_phrase: &str) -> Result<String, LabError> {
        let failed = |problem: &str| LabError::ApiKey { key_id: self.key_id(), problem: problem.into() };
        let mut random = [0; 32];
        aws_lc_rs::rand::fill(&mut random).map_err(|_| failed("no randomness"))?;
        let mut iv = [0; 16];
        iv.copy_from_slice(&random[..16]);
        let der = pem::parse(&self.private_key_pem).map_err(|error| failed(&error.to_string()))?;
        let parameters = pbes2::Parameters::generate_pbkdf2_sha256_aes256cbc(2048, &random[16..], iv)
            .map_err(|error| failed(&error.to_string()))?;
        let document = PrivateKeyInfoRef::try_from(der.contents())
            .and_then(|key| key.encrypt_with_params(parameters, pass_phrase))
            .map_err(|error| failed(&error.to_string()))?;
        Ok(pem::encode_config(
            &pem::Pem::new("ENCRYPTED PRIVATE KEY", document.as_bytes()),
            pem::EncodeConfig::new().set_line_ending(pem::LineEnding::LF),
        ))
    }

    /// Writes `config` (profile DEFAULT, region us-ashburn-1), `oci_api_key.pem` and `token`, all mode 0600, into `folder`,
    /// as `oci session authenticate` does.
    ///
    /// # Errors
    /// [`LabError::ApiKey`] with the path that could not be written.
    pub fn write_session(&self, folder: &Path, token: &str) -> Result<OciSessionFiles, LabError> {
        let OciConfigFiles { config, key } = self.write_config(folder, KeyLabel::Absent)?;
        let token_file = config.with_file_name("token");
        let text = format!(
            "[DEFAULT]\nfingerprint={}\ntenancy={}\nregion=us-ashburn-1\nkey_file={}\nsecurity_token_file={}\n",
            self.fingerprint,
            self.tenancy,
            key.display(),
            token_file.display()
        );
        for (path, content) in [(&token_file, token), (&config, text.as_str())] {
            write_private(path, content).map_err(|error| self.not_written(path, &error))?;
        }
        Ok(OciSessionFiles { config, key, token: token_file })
    }

    fn not_written(&self, path: &Path, error: &io::Error) -> LabError {
        LabError::ApiKey { key_id: self.key_id(), problem: format!("cannot write {}: {error}", path.display()) }
    }
}

impl std::fmt::Debug for ApiKey {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("ApiKey").field("key_id", &self.key_id()).finish_non_exhaustive()
    }
}

/// Whether the key file ends with the text line `OCI_API_KEY`, as the console's newer downloads do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyLabel {
    /// Nothing follows the PEM block.
    Absent,
    /// The line follows the PEM block.
    Present,
}

/// Where [`ApiKey::write_config`] put its files.
#[derive(Clone, Debug)]
pub struct OciConfigFiles {
    /// The INI file for `--config-file`.
    pub config: PathBuf,
    /// The private key that it names.
    pub key: PathBuf,
}

/// Where [`ApiKey::write_session`] put its files.
#[derive(Clone, Debug)]
pub struct OciSessionFiles {
    /// The INI file for `--config-file`.
    pub config: PathBuf,
    /// The private key that it names.
    pub key: PathBuf,
    /// The token that it names.
    pub token: PathBuf,
}

fn fingerprint(public_key: &[u8]) -> String {
    Md5::digest(public_key).iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().join(":")
}

fn write_private(path: &Path, content: &str) -> io::Result<()> {
    use io::Write;
    let mut file = fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path)?;
    // The mode above counts for new files only.
    file.set_permissions(fs::Permissions::from_mode(0o600))?;
    file.write_all(content.as_bytes())
}
