//! From method and path to the operations of the Certificates service.

/// The operations, with the certificate's OCID, and a version's number or an association's OCID as the path has them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in super::super) enum CertificatesAction {
    CancelDeletion(String),
    CancelVersionDeletion(String, String),
    Create,
    Get(String),
    GetAssociation(String),
    GetBundle(String),
    GetVersion(String, String),
    List,
    ListAssociations,
    ListVersions(String),
    ScheduleDeletion(String),
    ScheduleVersionDeletion(String, String),
    Update(String),
}

impl CertificatesAction {
    pub(in super::super) fn is_mutation(&self) -> bool {
        match self {
            Self::CancelDeletion(_)
            | Self::CancelVersionDeletion(..)
            | Self::Create
            | Self::ScheduleDeletion(_)
            | Self::ScheduleVersionDeletion(..)
            | Self::Update(_) => true,
            Self::Get(_)
            | Self::GetAssociation(_)
            | Self::GetBundle(_)
            | Self::GetVersion(..)
            | Self::List
            | Self::ListAssociations
            | Self::ListVersions(_) => false,
        }
    }

    /// The certificate that the path names.
    pub(in super::super) fn certificate(&self) -> Option<&str> {
        match self {
            Self::CancelDeletion(id)
            | Self::CancelVersionDeletion(id, _)
            | Self::Get(id)
            | Self::GetBundle(id)
            | Self::GetVersion(id, _)
            | Self::ListVersions(id)
            | Self::ScheduleDeletion(id)
            | Self::ScheduleVersionDeletion(id, _)
            | Self::Update(id) => Some(id),
            Self::Create | Self::GetAssociation(_) | Self::List | Self::ListAssociations => None,
        }
    }
}

/// What a path below [`BASE_PATH`] offers: a method, the operation's name, the operation.
pub(in super::super) fn offered(segments: &[&str]) -> Vec<(&'static str, &'static str, CertificatesAction)> {
    use CertificatesAction as Action;
    let own = |text: &str| text.to_owned();
    match segments {
        ["certificates"] => {
            vec![("GET", "ListCertificates", Action::List), ("POST", "CreateCertificate", Action::Create)]
        }
        ["certificates", id] => {
            vec![("GET", "GetCertificate", Action::Get(own(id))), ("PUT", "UpdateCertificate", Action::Update(own(id)))]
        }
        ["certificates", id, "versions"] => vec![("GET", "ListCertificateVersions", Action::ListVersions(own(id)))],
        ["certificates", id, "version", number] => {
            vec![("GET", "GetCertificateVersion", Action::GetVersion(own(id), own(number)))]
        }
        ["certificates", id, "version", number, "actions", "scheduleDeletion"] => {
            vec![("POST", "ScheduleCertificateVersionDeletion", Action::ScheduleVersionDeletion(own(id), own(number)))]
        }
        ["certificates", id, "version", number, "actions", "cancelDeletion"] => {
            vec![("POST", "CancelCertificateVersionDeletion", Action::CancelVersionDeletion(own(id), own(number)))]
        }
        ["certificates", id, "actions", "scheduleDeletion"] => {
            vec![("POST", "ScheduleCertificateDeletion", Action::ScheduleDeletion(own(id)))]
        }
        ["certificates", id, "actions", "cancelDeletion"] => {
            vec![("POST", "CancelCertificateDeletion", Action::CancelDeletion(own(id)))]
        }
        ["associations"] => vec![("GET", "ListAssociations", Action::ListAssociations)],
        ["associations", id] => vec![("GET", "GetAssociation", Action::GetAssociation(own(id)))],
        ["certificateBundles", id] => vec![("GET", "GetCertificateBundle", Action::GetBundle(own(id)))],
        _ => Vec::new(),
    }
}

pub(in super::super) const BASE_PATH: &str = "/20210224/";
