"""GenConViT: is the face in this video real or fake?"""

from vitrine.system import System

system = System(
    name="deepfake-detect",
    title="GenConViT",
    summary="Tells real from manipulated faces in videos and pictures",
    package="deepfake_detect",
    distribution="deepfake-detect",
    command="deepfake-detect",
    paper="Wodajo Deressa et al., Deepfake Video Detection Using Generative Convolutional Vision Transformer, 2023",
)
