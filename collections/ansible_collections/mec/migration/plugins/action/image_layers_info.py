# Copyright (c) 2026, the mec.migration engineers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from ansible_collections.mec.migration.plugins.plugin_utils.actions.kept_code import KeptModule


class ActionModule(KeptModule):
    """Runs the module of this name."""

    module_name = "mec.migration.image_layers_info"
