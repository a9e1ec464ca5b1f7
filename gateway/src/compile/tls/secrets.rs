//! Secrets that stand in files of their own: the contexts that name them are made again when these
//! change.

use std::{path::PathBuf, sync::Arc};

use crossdock_xds::{
    discovery::{FileSource, secret},
    envoy_types::pb::envoy::extensions::transport_sockets::tls::v3::{
        CommonTlsContext, SdsSecretConfig, Secret,
        common_tls_context::ValidationContextType as Given,
    },
};

use super::{Problems, TlsCompiler, Wrong};
use crate::tls::Recipe;

impl TlsCompiler<'_> {
    /// A secret out of a file.
    pub(super) fn discovered(
        self,
        config: &SdsSecretConfig,
        path: &str,
        problems: &mut Problems<'_>,
    ) -> Result<Secret, Wrong> {
        let source = config.sds_config.as_ref().map(FileSource::of);
        let file = match source {
            Some(Ok(file)) => file,
            Some(Err(error)) => {
                let path = format!("{path}.sds_config");
                problems.add(path, error.to_string(), error.cure());
                return Err(Wrong);
            }
            None => return Err(Wrong),
        };
        secret(&file.path, &config.name).map_err(|rejected| {
            for problem in &rejected.problems {
                let reason = format!("its file is refused: {problem}");
                problems.add(format!("{path}.sds_config"), reason, "correct that file");
            }
            Wrong
        })
    }

    /// How a source is made again, if secrets in files have a part in it.
    pub(super) fn recipe<S, M>(
        self,
        common: Option<&CommonTlsContext>,
        make: M,
    ) -> Option<Recipe<S>>
    where
        M: Fn(TlsCompiler<'_>, &mut Problems<'_>) -> Result<S, Wrong> + Send + Sync + 'static,
    {
        let files = files(common?);
        if files.is_empty() {
            return None;
        }
        let (secrets, contexts) = (Arc::clone(self.secrets), Arc::clone(self.contexts));
        let positions = Arc::clone(self.positions);
        let make = move || {
            let compiler = TlsCompiler {
                secrets: &secrets,
                contexts: &contexts,
                positions: &positions,
            };
            let mut problems = Problems::of_bootstrap(&positions);
            let made = make(compiler, &mut problems);
            made.map_err(|Wrong| {
                let reasons = problems.list.into_iter().map(|problem| problem.reason);
                reasons.collect::<Vec<_>>().join("; ")
            })
        };
        Some(Recipe {
            files,
            make: Box::new(make),
        })
    }
}

/// The files whose secrets a context names.
fn files(common: &CommonTlsContext) -> Vec<PathBuf> {
    let peers = match &common.validation_context_type {
        Some(Given::ValidationContextSdsSecretConfig(config)) => Some(config),
        Some(Given::CombinedValidationContext(combined)) => {
            combined.validation_context_sds_secret_config.as_ref()
        }
        _ => None,
    };
    let configs = common
        .tls_certificate_sds_secret_configs
        .iter()
        .chain(peers);
    let sources = configs.filter_map(|config| FileSource::of(config.sds_config.as_ref()?).ok());
    let mut files: Vec<_> = sources.map(|source| source.path).collect();
    files.sort();
    files.dedup();
    files
}
