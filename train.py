"""Train one codec, or with -m a sweep of them, and measure it on real files; as ``lic train``.

python train.py model=hyperprior model.kernel_size=9 distortion=mse lambda=0.015
python train.py -m model=resnet3x3_4 upsample=subpixel lambda=5,10
"""

import lic.train  # its @hydra.main is what Hydra's tab completion looks for here

if __name__ == "__main__":
    lic.train.run()
